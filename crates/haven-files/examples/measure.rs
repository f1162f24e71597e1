//! Measures a file server as this room sees it: sign-in, listing, reading, writing. Arguments: server, share, user,
//! password, `encrypted` or `signed`, and a folder of the share with many entries.

use haven_files::{
    FilePath, Link, LinkOptions, Login, Problem, ProblemKind, Protection, ServerAddress, WriteMode,
};
use haven_resolve::Resolver;
use std::time::{Duration, Instant};

const FILE_BYTES: usize = 512 << 20;
const PIECE_BYTES: usize = 1 << 20;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [server, share, user, password, protection, folder] = words.as_slice() else {
        say("arguments: SERVER SHARE USER PASSWORD encrypted|signed FOLDER");
        return;
    };
    if let Err(problem) = measure(server, share, user, password, protection, folder).await {
        say(&format!("{problem}: {problem:?}"));
    }
}

async fn measure(
    server: &str,
    share: &str,
    user: &str,
    password: &str,
    protection: &str,
    folder: &str,
) -> Result<(), Problem> {
    let protection = if protection == "signed" { Protection::Signed } else { Protection::Encrypted };
    let options = LinkOptions { protection, ..LinkOptions::default() };
    let server =
        ServerAddress::parse(server).map_err(|failure| Problem::of(ProblemKind::NotFound, failure))?;
    let login = Login { user, domain: "", password };

    let start = Instant::now();
    let link = Link::open(&Resolver::of_this_host(), &server, login, &options).await?;
    let share = link.share(share).await?;
    say(&format!("sign-in and share {:?}", start.elapsed()));

    let path = FilePath::parse(folder)?;
    for _ in 0..3 {
        let start = Instant::now();
        let mut listing = share.list(&path).await?;
        let mut count = listing.next().await?.map_or(0, |batch| batch.len());
        let first = start.elapsed();
        while let Some(batch) = listing.next().await? {
            count += batch.len();
        }
        say(&format!("list {count} entries {:?}, the first after {first:?}", start.elapsed()));
    }

    let path = FilePath::parse("measure.bin")?;
    let piece = vec![7_u8; PIECE_BYTES];
    for _ in 0..2 {
        let start = Instant::now();
        let mut sink = share.write(&path, WriteMode::Replace).await?;
        for _ in 0..FILE_BYTES / PIECE_BYTES {
            sink.write(&piece).await?;
        }
        sink.finish().await?;
        say(&format!("write {} MB/s", rate(start.elapsed())));
        let start = Instant::now();
        let mut stream = share.read(&path, 0..u64::MAX).await?;
        let mut length = 0;
        while let Some(piece) = stream.next().await? {
            length += piece.len();
        }
        say(&format!("read {} MB/s ({length} bytes)", rate(start.elapsed())));
    }
    share.delete_file(&path).await
}

fn rate(time: Duration) -> u128 {
    FILE_BYTES as u128 / time.as_micros().max(1)
}

#[allow(clippy::print_stdout, reason = "a measuring program's output")]
fn say(line: &str) {
    println!("{line}");
}

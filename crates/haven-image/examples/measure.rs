//! Times archives through the store: `measure STORE_DIRECTORY ARCHIVE…`, or `measure --load STORE_DIRECTORY ARCHIVE…` to
//! load only. What is saved is kept as `saved.tar` in the store's directory. Prints seconds, MB of content a second, and the processor time loading took.

use haven_image::{LoadOptions, Store};
use std::fs::File;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).peekable();
    let load_only = arguments.next_if_eq("--load").is_some();
    let directory = arguments.next().ok_or("usage: measure STORE_DIRECTORY ARCHIVE…")?;
    for archive in arguments {
        let directory = Path::new(&directory);
        drop(std::fs::remove_dir_all(directory));
        let store = Store::open(directory, || 0)?;
        let start = Instant::now();
        let loaded = store
            .load(File::open(&archive)?, &LoadOptions::default(), &mut |_| ())
            .map_err(|failure| failure.one_line())?;
        let load_s = start.elapsed().as_secs_f64();
        let processor = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let image = loaded.first().map(|loaded| loaded.image.clone()).ok_or("nothing was loaded")?;
        let line = format!(
            "{archive}: {:.0} MB: load {load_s:.3} s, {:.0} MB/s (processor {}.{:03} s up to now)",
            megabytes(image.size_bytes),
            megabytes(image.size_bytes) / load_s,
            processor.tv_sec,
            processor.tv_nsec / 1_000_000,
        );
        if load_only {
            say(&line)?;
            continue;
        }
        let start = Instant::now();
        let verification = store.verify(&image.id).map_err(|failure| failure.one_line())?;
        let verify_s = start.elapsed().as_secs_f64();
        let start = Instant::now();
        store
            .save(
                &[image.tags.first().map_or(image.id.to_string(), ToString::to_string)],
                &mut File::create(directory.join("saved.tar"))?,
                &mut |_| (),
            )
            .map_err(|failure| failure.one_line())?;
        let save_s = start.elapsed().as_secs_f64();
        let found = verification.differences.len();
        say(&format!(
            "{line}; verify {verify_s:.3} s, {} files, {found} differences; save {save_s:.3} s",
            verification.files
        ))?;
    }
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    std::io::Write::write_all(&mut std::io::stdout(), format!("{line}\n").as_bytes())
}

#[allow(clippy::cast_precision_loss, reason = "megabytes for a person to read")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

//! Times one archive through the store: `measure STORE_DIRECTORY ARCHIVE…`. Prints seconds, and MB of content a second.

use haven_image::{LoadOptions, Store};
use std::fs::File;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
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
        let image = loaded.first().map(|loaded| loaded.image.clone()).ok_or("nothing was loaded")?;
        let start = Instant::now();
        let verification = store.verify(&image.id).map_err(|failure| failure.one_line())?;
        let verify_s = start.elapsed().as_secs_f64();
        let start = Instant::now();
        store
            .save(&[image.id.to_string()], &mut std::io::sink(), &mut |_| ())
            .map_err(|failure| failure.one_line())?;
        let save_s = start.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "megabytes for a person to read")]
        let content_mb = image.size_bytes as f64 / 1e6;
        let mut out = String::new();
        for (what, seconds) in [("load", load_s), ("verify", verify_s), ("save", save_s)] {
            out.push_str(&format!("{what} {seconds:.3} s {:.0} MB/s  ", content_mb / seconds));
        }
        let found = verification.differences.len();
        std::io::Write::write_all(
            &mut std::io::stdout(),
            format!(
                "{archive}: {content_mb:.0} MB, {} files, {found} differences: {out}\n",
                verification.files
            )
            .as_bytes(),
        )?;
    }
    Ok(())
}

//! What isn't quite as wished in a container that runs nevertheless: for its user, not for a log.

use crate::setback::{Setback, Step};
use haven_spec::{Failure, Outcome};
use std::path::Path;

const FILE: &str = "warnings";

/// Leaves them in the run directory.
pub(crate) fn write(run_dir: &Path, warnings: &[String]) -> Step<()> {
    if warnings.is_empty() {
        return Ok(());
    }
    let failed = |error: std::io::Error| Setback::host("cannot write the container's warnings", error);
    let json = serde_json::to_vec(warnings).map_err(|error| failed(error.into()))?;
    std::fs::write(run_dir.join(FILE), json).map_err(failed)
}

/// What there is to tell of the container whose run directory this is; complete once it was started.
pub fn read_warnings(run_dir: &Path) -> Outcome<Vec<String>> {
    let path = run_dir.join(FILE);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::host(format!("cannot read `{}`", path.display())).because(error)),
    };
    serde_json::from_slice(&text)
        .map_err(|error| Failure::internal(format!("cannot understand `{}`", path.display())).because(error))
}

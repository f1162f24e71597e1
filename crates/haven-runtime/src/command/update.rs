//! New limits for a container that exists: from flags, or a document on standard input.

use super::arguments::{Arguments, Flag, option};
use crate::oci::{BlockIo, Cpu, Memory, Pids, Resources, parse_document};
use haven_spec::{Failure, Outcome};
use serde_json::Value;
use std::io::Read;

/// The longest document read.
const LONGEST: u64 = 1 << 20;

pub(super) const FLAGS: &[Flag] = &[
    option(
        "resources",
        "FILE",
        "a JSON document with the limits, `-` for standard input; other flags are ignored",
    )
    .or('r'),
    option("blkio-weight", "NUMBER", "disk weight, 10 to 1000"),
    option("cpu-period", "MICROSECONDS", "period of the processor quota"),
    option("cpu-quota", "MICROSECONDS", "processor time in each period"),
    option("cpu-burst", "MICROSECONDS", "processor time that may be saved up"),
    option("cpu-share", "NUMBER", "processor weight against other containers"),
    option("cpu-rt-period", "MICROSECONDS", "period of the real-time budget"),
    option("cpu-rt-runtime", "MICROSECONDS", "real-time processor time in each period"),
    option("cpuset-cpus", "LIST", "processors to use"),
    option("cpuset-mems", "LIST", "memory nodes to use"),
    option("cpu-idle", "NUMBER", "1: only time nobody else wants"),
    option("memory", "BYTES", "memory limit"),
    option("memory-reservation", "BYTES", "memory kept free of reclaim"),
    option("memory-swap", "BYTES", "limit of memory and swap together, -1: unlimited"),
    option("pids-limit", "NUMBER", "number of processes, -1: unlimited"),
];

/// The limits asked for.
pub(super) fn wanted(arguments: &Arguments) -> Outcome<Resources> {
    if let Some(path) = arguments.value("resources") {
        let text =
            read(path).map_err(|error| Failure::invalid(format!("cannot read `{path}`")).because(error))?;
        return parse_document(&text)
            .map_err(|error| Failure::invalid(format!("cannot understand `{path}`")).because(error));
    }
    let list = |name| arguments.value(name).unwrap_or_default().to_owned();
    let cpu = Cpu {
        shares: arguments.number("cpu-share")?,
        quota: arguments.number("cpu-quota")?,
        burst: arguments.number("cpu-burst")?,
        period: arguments.number("cpu-period")?,
        realtime_runtime: arguments.number("cpu-rt-runtime")?,
        realtime_period: arguments.number("cpu-rt-period")?,
        cpus: list("cpuset-cpus"),
        mems: list("cpuset-mems"),
        idle: arguments.number("cpu-idle")?,
    };
    let memory = Memory {
        limit: bytes(arguments, "memory")?,
        reservation: bytes(arguments, "memory-reservation")?,
        swap: bytes(arguments, "memory-swap")?,
        ..Memory::default()
    };
    let weight: Option<u16> = arguments.number("blkio-weight")?;
    let pids: Option<i64> = arguments.number("pids-limit")?;
    Ok(Resources {
        cpu: (cpu != Cpu::default()).then_some(cpu),
        memory: (memory != Memory::default()).then_some(memory),
        block_io: weight.map(|weight| BlockIo { weight: Some(weight), ..BlockIo::default() }),
        pids: pids.map(|limit| Pids { limit: Some(limit) }),
        ..Resources::default()
    })
}

/// A number of bytes, also as `64M` or `1GiB`.
fn bytes(arguments: &Arguments, name: &str) -> Outcome<Option<i64>> {
    let Some(text) = arguments.value(name) else { return Ok(None) };
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '-').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        "t" => Some(40),
        _ => None,
    };
    shift
        .zip(number.parse::<i64>().ok())
        .and_then(|(shift, number)| number.checked_mul(1 << shift))
        .map(Some)
        .ok_or_else(|| Failure::invalid(format!("`{text}` is not a number of bytes (`--{name}`)")))
}

fn read(path: &str) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut source: Box<dyn Read> =
        if path == "-" { Box::new(std::io::stdin()) } else { Box::new(std::fs::File::open(path)?) };
    source.by_ref().take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// The limits after the update, for the record: what the change mentions over what stood.
pub(super) fn merged(standing: Option<&Resources>, change: &Resources) -> Outcome<Resources> {
    let value = |resources: &Resources| {
        serde_json::to_value(resources)
            .map_err(|error| Failure::internal("cannot write limits").because(error))
    };
    let mut whole = value(&standing.cloned().unwrap_or_default())?;
    lay_over(&mut whole, value(change)?);
    serde_json::from_value(whole).map_err(|error| Failure::internal("cannot join limits").because(error))
}

fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (name, value) in above {
                lay_over(below.entry(name).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

#[cfg(test)]
mod tests {
    use super::super::arguments::{Shape, parse};
    use super::*;

    fn flags(line: &str) -> Outcome<Resources> {
        let shape = Shape {
            name: "update",
            about: "",
            operands: "ID",
            least: 1,
            most: 1,
            operands_end_flags: false,
            flags: FLAGS,
        };
        wanted(&parse(&shape, line.split(' ').map(Into::into).collect())?)
    }

    #[test]
    fn flags_become_limits() {
        let limits =
            flags("--memory 64M --memory-swap -1 --cpu-share 512 --cpuset-cpus 0-1 --pids-limit 7 id")
                .unwrap();
        let memory = limits.memory.unwrap();
        assert_eq!((memory.limit, memory.swap), (Some(64 << 20), Some(-1)));
        let cpu = limits.cpu.unwrap();
        assert_eq!((cpu.shares, cpu.cpus.as_str()), (Some(512), "0-1"));
        assert_eq!(limits.pids.unwrap().limit, Some(7));
        assert_eq!(limits.block_io, None);
        assert!(flags("--memory 64Q id").is_err() && flags("--cpu-share x id").is_err());
        assert!(flags("--memory 9999999999T id").is_err());
    }

    #[test]
    fn a_change_is_laid_over_what_stood() {
        let standing = flags("--memory 64M --cpu-share 512 id").unwrap();
        let change = flags("--memory-swap 128M --pids-limit 9 id").unwrap();
        let whole = merged(Some(&standing), &change).unwrap();
        assert_eq!(whole.memory.clone().unwrap().limit, Some(64 << 20));
        assert_eq!(whole.memory.unwrap().swap, Some(128 << 20));
        assert_eq!((whole.cpu.unwrap().shares, whole.pids.unwrap().limit), (Some(512), Some(9)));
    }
}

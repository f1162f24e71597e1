//! The processes of a container: a table of our own for the usual `-ef`, the host's ps(1) for other options.

use super::command::Live;
use crate::request::ProcessTable;
use haven_spec::{Failure, Outcome};
use std::collections::HashSet;
use std::fs;
use std::process::Command;

/// Clock ticks per second as the kernel shows times to programs; fixed on Linux.
const TICKS_PER_S: u64 = 100;

/// `id_base`: first host id of the container, so that owners show as they are inside.
pub(crate) fn table(live: &Live, arguments: &str, id_base: u32) -> Outcome<ProcessTable> {
    let pids: Vec<u32> =
        live.cgroup.processes()?.iter().map(|pid| pid.as_raw_nonzero().get().unsigned_abs()).collect();
    if arguments.is_empty() || arguments == "-ef" {
        return Ok(own_table(&pids, id_base));
    }
    // Only ps itself decides what these words mean; they never reach a shell.
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let output = Command::new("ps").args(&words).output().map_err(|error| {
        Failure::host("cannot run ps on the host")
            .because(error)
            .hint("install procps, or use `top` without ps options")
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Failure::invalid(format!("ps refused the options `{arguments}`: {said}")));
    }
    filtered(&String::from_utf8_lossy(&output.stdout), &pids)
}

/// Keeps the lines whose PID column names one of `pids`.
fn filtered(text: &str, pids: &[u32]) -> Outcome<ProcessTable> {
    let wanted: HashSet<u32> = pids.iter().copied().collect();
    let mut lines = text.lines();
    let titles: Vec<String> =
        lines.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let column = titles.iter().position(|title| title == "PID");
    let column = column.ok_or_else(|| Failure::invalid("Couldn't find PID field in ps output"))?;
    let mut rows = Vec::new();
    for line in lines {
        let mut fields: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let pid = fields.get(column).and_then(|field| field.parse::<u32>().ok());
        if pid.is_some_and(|pid| wanted.contains(&pid)) {
            // The last column holds the rest of the line.
            if fields.len() > titles.len() && !titles.is_empty() {
                let rest = fields.split_off(titles.len() - 1).join(" ");
                fields.push(rest);
            }
            rows.push(fields);
        }
    }
    Ok(ProcessTable { titles, rows })
}

fn own_table(pids: &[u32], id_base: u32) -> ProcessTable {
    let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"].map(str::to_owned).to_vec();
    let boot_s = boot_time_s();
    let uptime_s = fs::read_to_string("/proc/uptime")
        .ok()
        .and_then(|text| text.split('.').next().and_then(|s| s.parse::<u64>().ok()))
        .unwrap_or(0);
    // A process that ended meanwhile has no row.
    let rows = pids.iter().filter_map(|pid| row(*pid, id_base, boot_s, uptime_s)).collect();
    ProcessTable { titles, rows }
}

fn boot_time_s() -> i64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    stat.lines().find_map(|line| line.strip_prefix("btime ")).and_then(|s| s.trim().parse().ok()).unwrap_or(0)
}

fn row(pid: u32, id_base: u32, boot_s: i64, uptime_s: u64) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // The name may hold anything, so fields are counted from its closing bracket.
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    let (utime, stime, started) = (number(11)?, number(12)?, number(19)?);
    let uid: u32 =
        status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()?;
    let inside = uid.checked_sub(id_base).unwrap_or(uid);
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ").trim_end().to_owned();
    let command = if command.is_empty() { format!("[{name}]") } else { command };
    let seconds = (utime + stime) / TICKS_PER_S;
    let age_s = uptime_s.saturating_sub(started / TICKS_PER_S).max(1);
    let started_at = boot_s + i64::try_from(started / TICKS_PER_S).unwrap_or(0);
    let started_at = jiff::Timestamp::from_second(started_at).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
    Some(vec![
        if inside == 0 { "root".to_owned() } else { inside.to_string() },
        pid.to_string(),
        fields.get(1)?.to_string(),
        (seconds * 100 / age_s).min(99).to_string(),
        started_at.strftime("%H:%M").to_string(),
        terminal(number(4)?),
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
        command,
    ])
}

fn terminal(device: u64) -> String {
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00));
    match major {
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 => format!("tty{minor}"),
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_processes_are_left_out_and_commands_keep_their_spaces() {
        let text = "  PID TTY CMD\n    1 ?   /sbin/init splash\n   77 ?   sleep  100\n";
        let table = filtered(text, &[77]).unwrap();
        assert_eq!(table.rows, [["77", "?", "sleep 100"]]);
        assert!(filtered("A B\n1 2\n", &[1]).is_err());
    }
}

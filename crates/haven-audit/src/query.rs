//! Questions to the record: what happened to this, who did that, since when, and what exposed it.
//!
//! Segments are read from the newest to the oldest, lines from the last to the first, until enough is found. A line that
//! can't be read is counted, never a reason to stop: finding out what happened matters most when something is wrong.

use crate::directory::{Directory, read_segment};
use crate::segment::{self, Line, lines};
use crate::{Ending, Entry, Moment, Record, Stage};
use haven_spec::Outcome;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;

/// What is asked for; what is left out is not asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// A name, an id, or `kind:name`, of something the change was about.
    pub object: Option<String>,
    /// Likewise, of something it was about or that it exposed or closed.
    pub exposed: Option<String>,
    /// A user's name or number, a token, or a certificate.
    pub actor: Option<String>,
    /// `link.add`, or the beginning of such: `link`.
    pub action: Option<String>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// At most so many, the newest; 0: all.
    pub limit: usize,
}

impl Query {
    fn fits(&self, at: &Moment, entry: &Entry) -> bool {
        let named = |name: &Option<String>, also_affected: bool| {
            let Some(name) = name else { return true };
            entry.objects.iter().any(|object| object.is_called(name))
                || also_affected && entry.affected.iter().any(|object| object.is_called(name))
        };
        let action = self.action.as_deref().is_none_or(|wanted| {
            entry.action == wanted
                || entry.action.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
        });
        action
            && named(&self.object, false)
            && named(&self.exposed, true)
            && self.actor.as_deref().is_none_or(|name| entry.actor.is_called(name))
            && self.since.is_none_or(|since| at.wall >= since)
            && self.until.is_none_or(|until| at.wall < until)
    }
}

/// A change with its ending, or an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    pub sequence: u64,
    #[serde(flatten)]
    pub at: Moment,
    #[serde(flatten)]
    pub entry: Entry,
    /// Of a change, when it has ended. An event has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// An event: it was recorded after it had happened.
    pub noted: bool,
}

impl Change {
    /// `applied`, `failed`, `unknown`, `noted`, or `begun` for a change without an ending.
    pub fn state(&self) -> &'static str {
        match &self.ending {
            Some(ending) => ending.result.word(),
            None if self.noted => "noted",
            None => "begun",
        }
    }
}

impl Query {
    /// What fits, the newest first, and how many lines could not be read. Reads files alone: the record may be in use.
    pub fn ask(&self, directory: &Path) -> Outcome<(Vec<Change>, u64)> {
        let mut found = Vec::new();
        let mut unread = 0;
        let mut endings: HashMap<u64, Ending> = HashMap::new();
        let parts = Directory::new(directory).parts()?;
        for part in parts.iter().rev().filter(|part| !part.archived) {
            let bytes = read_segment(&part.path)?;
            for placed in lines(&bytes).rev() {
                let leaf = match placed.line {
                    Line::Record(leaf) => leaf,
                    Line::Nonsense => {
                        unread += 1;
                        continue;
                    }
                    Line::Header(_) | Line::Head { .. } => continue,
                };
                let Some(Record { sequence, at, stage }) = segment::record(leaf) else {
                    unread += 1;
                    continue;
                };
                let (entry, ending, noted) = match stage {
                    Stage::Ended { of, ending } => {
                        endings.insert(of, ending);
                        continue;
                    }
                    Stage::Intent(entry) => (entry, endings.remove(&sequence), false),
                    Stage::Noted(entry) => (entry, None, true),
                };
                if self.fits(&at, &entry) {
                    found.push(Change { sequence, at, entry, ending, noted });
                    if found.len() == self.limit {
                        return Ok((found, unread));
                    }
                }
            }
        }
        Ok((found, unread))
    }
}

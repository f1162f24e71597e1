//! The keys that wrap session keys (the design's ENCRYPT_KEY): one that wraps, older ones that still unwrap.
//!
//! A file, or a systemd credential, of lines `version:key` with 32 random bytes in base64. The highest version wraps;
//! the others stay until the sessions made under them have ended, and each such session is wrapped anew at its next
//! request, so that changing the key signs nobody out. Taking a line out signs out who has not come back since.
//!
//! Sixty-four letters somebody thought up are no key: what doesn't look random is refused, at start and not in use.

use crate::seal;
use crate::secret::{Key, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use haven_spec::{Failure, Outcome};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Most keys in a ring; one changes it monthly and keeps a day's worth.
const MOST_KEYS: usize = 16;

/// Longest file of keys.
const LIMIT_BYTES: u64 = 16 << 10;

/// Fewest different bytes in a key. Of 32 random bytes about 30 differ; fewer than 20 do once in 10¹³.
const FEWEST_DIFFERENT: usize = 20;

const HEADER: &str = "# Keys that protect sessions: `version:key`, the highest version is used, the others still open. Keep it secret.\n";

/// Which key: counts up from 1.
pub type KeyVersion = u32;

pub struct Keyring {
    keys: BTreeMap<KeyVersion, Purposes>,
}

/// One key of the ring, split by what it does.
struct Purposes {
    whole: Key,
    wrap: Key,
    device: Key,
    kept: Key,
}

impl Keyring {
    /// A ring with one new key.
    pub fn generate() -> Self {
        let mut ring = Self { keys: BTreeMap::new() };
        ring.insert(1, Key::random());
        ring
    }

    /// From the lines of a file.
    pub fn parse(text: &Secret) -> Outcome<Self> {
        let text = text.reveal_text().ok_or_else(|| Failure::invalid("the key file is not text"))?;
        let mut ring = Self { keys: BTreeMap::new() };
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // What is wrong may be said, never the line itself.
            let (version, key) =
                key_line(line).map_err(|problem| broken(format!("line {}: {problem}", index + 1)))?;
            if ring.keys.contains_key(&version) {
                return Err(broken(format!("line {}: version {version} stands there twice", index + 1)));
            }
            if ring.keys.values().any(|other| other.whole.reveal() == key.reveal()) {
                return Err(broken(format!("line {}: the same key has two versions", index + 1)));
            }
            ring.insert(version, key);
        }
        match ring.keys.len() {
            0 => Err(broken("there is no key in it".into())),
            1..=MOST_KEYS => Ok(ring),
            more => Err(broken(format!("{more} keys are more than {MOST_KEYS}"))),
        }
    }

    /// From a file that nobody else may read, or from a systemd credential.
    pub fn load(path: &Path) -> Outcome<Self> {
        let cannot = || format!("cannot read the keys in `{}`", path.display());
        let file = std::fs::File::open(path).map_err(|error| {
            Failure::host(cannot())
                .because(error)
                .hint("make one with `bargate rotate-key`, or name it in the configuration as `key_file`")
        })?;
        let about = file.metadata().map_err(|error| Failure::host(cannot()).because(error))?;
        // A credential of systemd may be read by its group (0440): the service's own.
        if about.mode() & 0o037 != 0 {
            return Err(Failure::invalid(cannot())
                .because(format!("others may read or change it (mode {:o})", about.mode() & 0o777))
                .hint(format!(
                    "`chmod 600 {0}`, and if it was so for long, put a new key in front",
                    path.display()
                )));
        }
        if about.len() > LIMIT_BYTES {
            return Err(Failure::invalid(cannot()).because(format!("it is longer than {LIMIT_BYTES} bytes")));
        }
        // Room for all of it, so that no part is left where a vector grew.
        let room = usize::try_from(LIMIT_BYTES).expect("the limit is small") + 1;
        let mut text = Zeroizing::new(Vec::with_capacity(room));
        file.take(LIMIT_BYTES)
            .read_to_end(&mut text)
            .map_err(|error| Failure::host(cannot()).because(error))?;
        Self::parse(&Secret::new(std::mem::take(&mut *text))).map_err(|failure| failure.context(cannot()))
    }

    /// The lines of a file with these keys.
    pub fn to_text(&self) -> Secret {
        let mut text = String::with_capacity(HEADER.len() + self.keys.len() * 64);
        text.push_str(HEADER);
        for (version, key) in self.keys.iter().rev() {
            let encoded = Zeroizing::new(STANDARD.encode(key.whole.reveal()));
            writeln!(text, "{version}:{}", encoded.as_str()).expect("writing to memory succeeds");
        }
        Secret::from(text)
    }

    /// Adds a new key that wraps from now on and keeps the `keep` newest of the old ones.
    pub fn rotate(&mut self, keep: usize) -> Outcome<KeyVersion> {
        let next =
            self.current().checked_add(1).ok_or_else(|| Failure::invalid("key versions are used up"))?;
        while self.keys.len() > keep.min(MOST_KEYS - 1) {
            self.keys.pop_first();
        }
        self.insert(next, Key::random());
        Ok(next)
    }

    /// The version that wraps.
    pub fn current(&self) -> KeyVersion {
        self.keys.last_key_value().map_or(0, |(version, _)| *version)
    }

    /// All versions, oldest first.
    pub fn versions(&self) -> Vec<KeyVersion> {
        self.keys.keys().copied().collect()
    }

    /// The key that wraps session keys.
    pub(crate) fn wrap(&self, version: KeyVersion) -> Option<&Key> {
        self.keys.get(&version).map(|key| &key.wrap)
    }

    /// The key that marks devices a person has signed in from.
    pub(crate) fn device(&self, version: KeyVersion) -> Option<&Key> {
        self.keys.get(&version).map(|key| &key.device)
    }

    /// The key that seals what is kept of a person between sessions.
    pub(crate) fn kept(&self, version: KeyVersion) -> Option<&Key> {
        self.keys.get(&version).map(|key| &key.kept)
    }

    fn insert(&mut self, version: KeyVersion, whole: Key) {
        let wrap = seal::derive(&whole, "bargate/key/wrap/v1");
        let device = seal::derive(&whole, "bargate/key/device/v1");
        let kept = seal::derive(&whole, "bargate/key/kept/v1");
        self.keys.insert(version, Purposes { whole, wrap, device, kept });
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("versions", &self.versions()).finish_non_exhaustive()
    }
}

fn broken(problem: String) -> Failure {
    Failure::invalid("these are no keys to use").because(problem).hint(
        "each line is `version:key`, the key 32 random bytes in base64: `openssl rand -base64 32` makes one",
    )
}

fn key_line(line: &str) -> Result<(KeyVersion, Key), String> {
    let (version, encoded) = line.split_once(':').ok_or("it has no `:` between version and key")?;
    let version = version.parse::<KeyVersion>().ok().filter(|version| *version > 0);
    let version = version.ok_or("the version is not a number from 1 on")?;
    let mut bytes = Zeroizing::new([0_u8; 64]);
    let length = STANDARD
        .decode_slice(encoded.trim(), bytes.as_mut_slice())
        .map_err(|_| "the key is not 32 bytes in base64")?;
    let key =
        Key::from_slice(&bytes[..length]).ok_or_else(|| format!("the key has {length} bytes, not 32"))?;
    if let Some(weakness) = weakness(key.reveal()) {
        return Err(format!("the key {weakness}"));
    }
    Ok((version, key))
}

/// Why these bytes were hardly drawn at random.
fn weakness(key: &[u8; Key::LENGTH]) -> Option<&'static str> {
    let mut seen = [false; 256];
    key.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    if key.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return Some("is text that somebody typed, not random bytes");
    }
    if seen.iter().filter(|seen| **seen).count() < FEWEST_DIFFERENT {
        return Some("repeats itself and is not random");
    }
    if key.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == key[1].wrapping_sub(key[0])) {
        return Some("is a sequence and not random");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn text(ring: &Keyring) -> String {
        ring.to_text().reveal_text().expect("text").to_owned()
    }

    fn refused(text: &str) -> String {
        Keyring::parse(&Secret::from(text.to_owned())).expect_err("is refused").one_line()
    }

    #[test]
    fn a_ring_is_written_and_read_again() {
        let mut ring = Keyring::generate();
        ring.rotate(3).expect("rotates");
        let again = Keyring::parse(&ring.to_text()).expect("parses");
        assert_eq!(again.versions(), [1, 2]);
        assert_eq!(again.current(), 2);
        assert_eq!(text(&again), text(&ring));
        assert_eq!(again.wrap(1).expect("kept").reveal(), ring.wrap(1).expect("kept").reveal());
    }

    #[test]
    fn rotating_keeps_as_many_old_keys_as_asked() {
        let mut ring = Keyring::generate();
        for _ in 0..5 {
            ring.rotate(2).expect("rotates");
        }
        assert_eq!(ring.versions(), [4, 5, 6]);
        ring.rotate(0).expect("rotates");
        assert_eq!(ring.versions(), [7]);
    }

    #[test]
    fn what_is_no_random_key_is_refused_and_not_shown() {
        let typed = STANDARD.encode(b"correct horse battery staple 123");
        let zero = STANDARD.encode([0_u8; 32]);
        let sequence = STANDARD.encode((1..=32).collect::<Vec<u8>>());
        let short = STANDARD.encode([7_u8; 31]);
        assert!(refused(&format!("1:{typed}")).contains("text that somebody typed"));
        assert!(refused(&format!("1:{zero}")).contains("repeats itself"));
        assert!(refused(&format!("1:{sequence}")).contains("is a sequence"));
        assert!(refused(&format!("1:{short}")).contains("has 31 bytes"));
        assert!(refused("").contains("there is no key"));
        assert!(refused("secret-without-version").contains("line 1"));
        assert!(!refused("secret-without-version").contains("secret-without"));
        assert!(refused("0:abc").contains("number from 1 on"));
        let good = text(&Keyring::generate());
        let line = good.lines().nth(1).expect("a key");
        assert!(refused(&format!("{line}\n{line}")).contains("twice"));
        assert!(refused(&format!("{line}\n2{}", &line[1..])).contains("two versions"));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let path = std::env::temp_dir().join(format!("haven-identity-keys-{}", std::process::id()));
        std::fs::write(&path, text(&Keyring::generate())).expect("written");
        let with_mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("changed");
            Keyring::load(&path)
        };
        assert!(with_mode(0o644).expect_err("refused").one_line().contains("mode 644"));
        assert!(with_mode(0o620).is_err());
        assert_eq!(with_mode(0o600).expect("loads").versions(), [1]);
        assert_eq!(with_mode(0o440).expect("a credential loads").versions(), [1]);
        std::fs::remove_file(&path).expect("removed");
        assert!(Keyring::load(&path).expect_err("gone").advice().expect("a hint").contains("rotate-key"));
    }
}

//! Log lines as Docker's `json-file` writes them, made quickly.
//!
//! `{"log":"text\n","stream":"stdout","time":"2026-11-22T02:03:04.000000005Z"}`: the escapes are those of Go's
//! encoder (also `<`, `>`, `&`, U+2028 and U+2029), bytes that aren't UTF-8 become U+FFFD, trailing zeros of the
//! fraction are left out.

/// The longest piece of a line in one entry; longer lines are split, and only the last piece ends in a newline.
pub(crate) const PIECE_BYTES: usize = 16 * 1024;

/// Room an entry of one piece can take at most: every byte six, and what is around it.
pub(crate) const ENTRY_BYTES: usize = PIECE_BYTES * 6 + 128;

/// For each byte: 0 as it is, 1 part of a longer character, else how it is escaped (`u`: as `\u00XX`).
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        class[byte] = b'u';
        byte += 1;
    }
    class[b'\n' as usize] = b'n';
    class[b'\r' as usize] = b'r';
    class[b'"' as usize] = b'"';
    class[b'\\' as usize] = b'\\';
    class[b'<' as usize] = b'u';
    class[b'>' as usize] = b'u';
    class[b'&' as usize] = b'u';
    byte = 0x80;
    while byte < 256 {
        class[byte] = 1;
        byte += 1;
    }
    class
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A buffer with a position; whoever writes has made sure that there is room.
pub(crate) struct Cursor<'a> {
    pub(crate) buffer: &'a mut [u8],
    pub(crate) length: usize,
}

impl Cursor<'_> {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }
}

/// What comes after the text of every entry of one moment: stream and time.
pub(crate) struct Tail {
    bytes: [u8; 80],
    length: usize,
}

impl Tail {
    pub(crate) fn new(stream: &str, nanoseconds_since_epoch: i64) -> Self {
        let mut bytes = [0; 80];
        let mut cursor = Cursor { buffer: &mut bytes, length: 0 };
        cursor.push(b"\",\"stream\":\"");
        cursor.push(stream.as_bytes());
        cursor.push(b"\",\"time\":\"");
        push_time(&mut cursor, nanoseconds_since_epoch);
        cursor.push(b"\"}\n");
        let length = cursor.length;
        Self { bytes, length }
    }
}

/// Writes the entry of `piece`, with the newline it ended in when `newline`. Needs [`ENTRY_BYTES`] of room.
pub(crate) fn entry(cursor: &mut Cursor<'_>, piece: &[u8], newline: bool, tail: &Tail) {
    cursor.push(b"{\"log\":\"");
    text(cursor, piece);
    if newline {
        cursor.push(b"\\n");
    }
    cursor.push(&tail.bytes[..tail.length]);
}

fn text(cursor: &mut Cursor<'_>, piece: &[u8]) {
    let mut at = 0;
    while at < piece.len() {
        let plain =
            piece[at..].iter().position(|byte| CLASS[usize::from(*byte)] != 0).unwrap_or(piece.len() - at);
        cursor.push(&piece[at..at + plain]);
        at += plain;
        let Some(byte) = piece.get(at) else { break };
        match CLASS[usize::from(*byte)] {
            1 => at += wide(cursor, &piece[at..]),
            b'u' => {
                cursor.push(b"\\u00");
                cursor.push(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                at += 1;
            }
            letter => {
                cursor.push(&[b'\\', letter]);
                at += 1;
            }
        }
    }
}

/// Writes the run of non-ASCII characters at the start of `rest`, or one replacement; gives how many bytes it read.
fn wide(cursor: &mut Cursor<'_>, rest: &[u8]) -> usize {
    let run = rest.iter().position(u8::is_ascii).unwrap_or(rest.len());
    let valid = match std::str::from_utf8(&rest[..run]) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => {
            std::str::from_utf8(&rest[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => {
            // One replacement for each byte that can't begin a character, as Go's decoder counts them.
            cursor.push(b"\\ufffd");
            return 1;
        }
    };
    let mut written = 0;
    for (at, found) in valid.match_indices(['\u{2028}', '\u{2029}']) {
        cursor.push(&valid.as_bytes()[written..at]);
        cursor.push(if found == "\u{2028}" { b"\\u2028" } else { b"\\u2029" });
        written = at + found.len();
    }
    cursor.push(&valid.as_bytes()[written..]);
    valid.len()
}

/// RFC 3339 in UTC with up to nine digits of fraction.
fn push_time(cursor: &mut Cursor<'_>, nanoseconds_since_epoch: i64) {
    let seconds = nanoseconds_since_epoch.div_euclid(1_000_000_000);
    let mut fraction = nanoseconds_since_epoch.rem_euclid(1_000_000_000).unsigned_abs();
    let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400).unsigned_abs());
    let (year, month, day) = civil(days);
    push_digits(cursor, year.unsigned_abs(), 4);
    cursor.push(b"-");
    push_digits(cursor, month, 2);
    cursor.push(b"-");
    push_digits(cursor, day, 2);
    cursor.push(b"T");
    push_digits(cursor, second_of_day / 3600, 2);
    cursor.push(b":");
    push_digits(cursor, second_of_day / 60 % 60, 2);
    cursor.push(b":");
    push_digits(cursor, second_of_day % 60, 2);
    if fraction != 0 {
        let mut digits = 9;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            digits -= 1;
        }
        cursor.push(b".");
        push_digits(cursor, fraction, digits);
    }
    cursor.push(b"Z");
}

fn push_digits(cursor: &mut Cursor<'_>, mut value: u64, digits: usize) {
    let mut text = [b'0'; 20];
    for place in text[..digits].iter_mut().rev() {
        *place = HEX[usize::try_from(value % 10).unwrap_or(0)];
        value /= 10;
    }
    cursor.push(&text[..digits]);
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar: whole eras of 400 years
/// are cut off, and years begin in March so that the leap day comes last.
fn civil(days: i64) -> (i64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month.unsigned_abs(), day.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(piece: &[u8], newline: bool, nanoseconds: i64) -> String {
        let mut buffer = vec![0; ENTRY_BYTES];
        let mut cursor = Cursor { buffer: &mut buffer, length: 0 };
        entry(&mut cursor, piece, newline, &Tail::new("stdout", nanoseconds));
        let length = cursor.length;
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn log_of(piece: &[u8]) -> String {
        let line = encoded(piece, false, 0);
        line.strip_prefix("{\"log\":\"").unwrap().split("\",\"stream").next().unwrap().to_owned()
    }

    #[test]
    fn an_entry_is_what_other_programs_read() {
        assert_eq!(
            encoded(b"hello", true, 1_795_313_045_120_000_000),
            "{\"log\":\"hello\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-22T02:04:05.12Z\"}\n"
        );
        assert!(encoded(b"", false, 951_782_400_000_000_000).contains("\"2000-02-29T00:00:00Z\""));
        assert!(encoded(b"", false, -1).contains("\"1969-12-31T23:59:59.999999999Z\""));
    }

    #[test]
    fn characters_are_escaped_as_gos_encoder_does() {
        assert_eq!(log_of(b"a\"b\\c\td<e>&\r"), r#"a\"b\\c\u0009d\u003ce\u003e\u0026\r"#);
        assert_eq!(log_of("grün 漢字 \u{2028}x".as_bytes()), r"grün 漢字 \u2028x");
        assert_eq!(log_of(b"\x1b[31m\x7f\0"), "\\u001b[31m\x7f\\u0000");
    }

    #[test]
    fn bytes_that_arent_utf8_become_replacements() {
        assert_eq!(log_of(b"a\xffb\xc3"), r"a\ufffdb\ufffd");
        assert_eq!(log_of(b"\xe2\x82x"), r"\ufffd\ufffdx");
        assert_eq!(log_of(b"\xc3\xa9\xff\xc3\xa9"), "é\\ufffdé");
    }

    #[test]
    fn what_is_written_reads_back_as_json() {
        let mut state = 1_u32;
        for _ in 0..2_000 {
            let mut piece = Vec::new();
            for _ in 0..state % 60 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                piece.push(state.to_le_bytes()[3]);
            }
            state = state.wrapping_add(7_777);
            let line = encoded(&piece, true, i64::from(state));
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            let text = value["log"].as_str().unwrap();
            if let Ok(valid) = std::str::from_utf8(&piece) {
                assert_eq!(text, format!("{valid}\n"));
            }
        }
    }

    #[test]
    fn the_longest_entry_fits_its_room() {
        let line = encoded(&vec![0; PIECE_BYTES], true, i64::MAX);
        assert!(line.len() <= ENTRY_BYTES, "{}", line.len());
    }
}

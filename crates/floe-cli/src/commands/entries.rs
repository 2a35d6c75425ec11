//! The entries of a directory of a snapshot, as `floe ls REF[:PATH]` lists them.

use std::io::{self, Write};

use floe_core::{Depth, Error, SnapshotAt};
use floe_format::{Body, EntryKind, EntryRef, Kept, Timestamp};
use serde::Serialize;

use crate::failure::{Code, Failure};
use crate::output::{DataStream, ShownPath};
use crate::session::{Limits, Session};
use crate::tree_path::TreePath;

/// How entries are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// All that is below the directory, not only what is in it.
    pub(crate) below: bool,
    /// Mode, owner, size and time, too.
    pub(crate) long: bool,
    /// A zero byte after each, for programs.
    pub(crate) null: bool,
    /// One JSON object.
    pub(crate) json: bool,
}

#[derive(Serialize)]
struct EntryReport<'a> {
    #[serde(flatten)]
    path: ShownPath<'a>,
    kind: &'static str,
    mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    major: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minor: Option<u32>,
}

pub(crate) async fn list(session: &Session, directory: &TreePath, style: Style) -> Result<Code, Failure> {
    let (namespace, resolved, snapshot) = session.snapshot(&directory.reference, Limits::default()).await?;
    let (out, outcome) = session.output().stream();
    let escape = session.output().is_terminal() && !style.null;
    let (at, kept) = (resolved.at, snapshot.root().kept);
    let mut lister = Lister { out, style, escape, at, kept, directory: &directory.path, entries: 0 };
    let depth = if style.below { Depth::Below } else { Depth::Children };
    let cache = session.cache_dir();
    let each = &mut |entry: &EntryRef<'_>| lister.show(entry).map_err(cannot_show);
    let done = floe_core::list(&namespace, &snapshot, &directory.path, depth, Some(&cache), each).await;
    let done = done.and_then(|()| lister.end(session).map_err(cannot_show));
    drop(lister);
    outcome.settle(done)?;
    Ok(Code::Done)
}

fn cannot_show(e: io::Error) -> Error {
    Error::io("cannot write to standard output", e)
}

/// Shows entries as they come.
struct Lister<'a> {
    out: DataStream,
    style: Style,
    escape: bool,
    at: SnapshotAt,
    kept: Kept,
    directory: &'a [u8],
    entries: u64,
}

impl Lister<'_> {
    /// Begins the report, with the first entry or at the end: a failure before leaves nothing behind.
    fn begin(&mut self) -> io::Result<()> {
        let (snapshot, layout) = (self.at.snapshot, self.at.layout);
        let path = serde_json::to_string(&ShownPath::new(self.directory))?;
        let path = path.trim_start_matches('{').trim_end_matches('}');
        write!(self.out, "{{\"snapshot\":\"{snapshot}\",\"layout\":\"{layout}\",{path},\"entries\":[")
    }

    fn show(&mut self, entry: &EntryRef<'_>) -> io::Result<()> {
        if self.style.json {
            match self.entries {
                0 => self.begin()?,
                _ => self.out.write_all(b",")?,
            }
            self.entries += 1;
            return Ok(serde_json::to_writer(&mut self.out, &report(entry))?);
        }
        if self.style.long {
            self.show_attributes(entry)?;
        }
        let below = entry.path.strip_prefix(self.directory).and_then(|path| path.strip_prefix(b"/"));
        let shown = if self.directory.is_empty() { entry.path } else { below.unwrap_or(entry.path) };
        self.out.write_path(shown, self.escape)?;
        if entry.kind() == EntryKind::Directory {
            self.out.write_all(b"/")?;
        }
        if self.style.long && !entry.body.target().is_empty() {
            let arrow: &[u8] = if entry.kind() == EntryKind::Symlink { b" -> " } else { b" link to " };
            self.out.write_all(arrow)?;
            self.out.write_path(entry.body.target(), self.escape)?;
        }
        self.out.write_all(if self.style.null { b"\0" } else { b"\n" })
    }

    fn show_attributes(&mut self, entry: &EntryRef<'_>) -> io::Result<()> {
        let mode = mode_text(entry.kind(), entry.mode);
        let size = match entry.body {
            Body::CharDevice { major, minor } | Body::BlockDevice { major, minor } => {
                format!("{major},{minor}")
            }
            Body::File { size, .. } => size.to_string(),
            _ => "-".to_owned(),
        };
        write!(self.out, "{mode} {size:>12} ")?;
        // A hard link has neither of its own.
        if self.kept.contains(Kept::OWNER) {
            let owner = entry.owner.map(|owner| format!("{:>6}:{:<6}", owner.user, owner.group));
            write!(self.out, "{:13} ", owner.unwrap_or_default())?;
        }
        if self.kept.contains(Kept::MTIME) {
            let time = entry.mtime.map(|mtime| time_text(mtime, false));
            write!(self.out, "{:20} ", time.unwrap_or_default())?;
        }
        Ok(())
    }

    fn end(&mut self, session: &Session) -> io::Result<()> {
        if !self.style.json {
            return Ok(());
        }
        if self.entries == 0 {
            self.begin()?;
        }
        let traffic = serde_json::to_string(&session.traffic())?;
        writeln!(self.out, "],{}", traffic.trim_start_matches('{'))
    }
}

fn report<'a>(entry: &EntryRef<'a>) -> EntryReport<'a> {
    let (file_bytes, hash) = match entry.body {
        Body::File { size, hash } => (Some(size), hash.map(|hash| hash.to_string())),
        _ => (None, None),
    };
    let device = match entry.body {
        Body::CharDevice { major, minor } | Body::BlockDevice { major, minor } => Some((major, minor)),
        _ => None,
    };
    let target = entry.body.target();
    EntryReport {
        path: ShownPath::new(entry.path),
        kind: match entry.kind() {
            EntryKind::Directory => "directory",
            EntryKind::File => "file",
            EntryKind::Symlink => "symlink",
            EntryKind::HardLink => "hard_link",
            EntryKind::Fifo => "fifo",
            EntryKind::CharDevice => "char_device",
            EntryKind::BlockDevice => "block_device",
        },
        mode: format!("{:04o}", entry.mode),
        file_bytes,
        hash,
        mtime: entry.mtime.map(|mtime| time_text(mtime, true)),
        user: entry.owner.map(|owner| owner.user),
        group: entry.owner.map(|owner| owner.group),
        target: (!target.is_empty()).then(|| String::from_utf8_lossy(target).into_owned()),
        major: device.map(|(major, _)| major),
        minor: device.map(|(_, minor)| minor),
    }
}

/// Kind and permissions as `ls -l` shows them.
fn mode_text(kind: EntryKind, mode: u16) -> String {
    let kind = match kind {
        EntryKind::Directory => 'd',
        EntryKind::File | EntryKind::HardLink => '-',
        EntryKind::Symlink => 'l',
        EntryKind::Fifo => 'p',
        EntryKind::CharDevice => 'c',
        EntryKind::BlockDevice => 'b',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
        });
    }
    text
}

/// A time in UTC, to the nanosecond where that is `exact`; as seconds where no calendar reaches it.
fn time_text(time: Timestamp, exact: bool) -> String {
    let nanos = i32::try_from(if exact { time.nanos } else { 0 }).unwrap_or(0);
    match jiff::Timestamp::new(time.seconds, nanos) {
        Ok(time) => time.to_string(),
        // Nanoseconds count forwards, also before 1970.
        Err(_) if time.seconds < 0 && time.nanos > 0 => {
            format!("-{}.{:09}", (time.seconds + 1).unsigned_abs(), 1_000_000_000 - time.nanos)
        }
        Err(_) => format!("{}.{:09}", time.seconds, time.nanos),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_times_are_shown() {
        assert_eq!(mode_text(EntryKind::File, 0o644), "-rw-r--r--");
        assert_eq!(mode_text(EntryKind::Directory, 0o1777), "drwxrwxrwt");
        assert_eq!(mode_text(EntryKind::File, 0o6710), "-rws--s---");
        assert_eq!(mode_text(EntryKind::File, 0o5000), "---S-----T");
        let time = |seconds| Timestamp { seconds, nanos: 5 };
        assert_eq!(time_text(time(0), false), "1970-01-01T00:00:00Z");
        assert_eq!(time_text(time(-1), true), "1969-12-31T23:59:59.000000005Z");
        assert_eq!(time_text(time(i64::MAX), true), format!("{}.000000005", i64::MAX));
        assert_eq!(time_text(time(i64::MIN), true), format!("{}.999999995", i64::MIN + 1));
        let exactly = Timestamp { seconds: i64::MIN, nanos: 0 };
        assert_eq!(time_text(exactly, true), format!("{}.000000000", i64::MIN));
    }
}

//! `floe diff`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;
use floe_core::{Change, DiffOptions, Error, ErrorKind, Namespace, Reference, Snapshot};

use crate::arguments::ReportArguments;
use crate::exclusions::ExclusionArguments;
use crate::failure::{Code, Failure};
use crate::session::{Limits, Session};

use super::changes::ChangeList;

/// Show what differs between two snapshots, or between a snapshot and a directory
///
/// A name that begins with `.` or `/`, or ends in `/`, is a directory; every other is a reference. Shown are A, added; D,
/// removed; M, another kind, content, link target or device; m, another mode, owner or xattr alone. The tree's own
/// directory is shown as `.`. What one side does not keep is not compared, and times are only with --times.
#[derive(Clone, Debug, Args)]
pub(crate) struct DiffArguments {
    /// A reference or a directory
    #[arg(value_name = "A")]
    before: OsString,
    /// A reference or a directory
    #[arg(value_name = "B")]
    after: OsString,
    /// Also show entries of which only the time differs
    #[arg(long)]
    times: bool,
    /// Read every file of the directory, whatever the times and sizes say
    #[arg(long)]
    by_hash: bool,
    /// End each line with a zero byte instead of a newline, and show paths as they are
    #[arg(short = '0', long, conflicts_with = "json")]
    null: bool,
    /// Exit with code 1 where anything differs
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
    #[command(flatten, next_help_heading = "Of the directory")]
    exclusions: ExclusionArguments,
}

enum Operand {
    Snapshot(Reference),
    Directory(PathBuf),
}

impl Operand {
    fn new(text: OsString) -> Result<Self, Failure> {
        let bytes = text.as_bytes();
        if matches!(bytes, [b'.' | b'/', ..] | [.., b'/']) {
            return Ok(Self::Directory(text.into()));
        }
        let text = text.to_string_lossy();
        if let Some((whole, path)) = text.split_once(':')
            && let Ok(reference) = whole.parse::<Reference>()
            && !Path::new(&*text).is_dir()
            && !path.starts_with("//")
        {
            if path.is_empty() {
                return Ok(Self::Snapshot(reference));
            }
            let message = format!("`{text}` is a part of a snapshot, and whole ones are compared");
            let advice = format!("Compare `{whole}` and look for what is below {path}.");
            return Err(Failure::usage(message, advice));
        }
        text.parse().map(Self::Snapshot).map_err(|e: Error| {
            Failure::usage(e.to_string(), format!("Write ./{text} for the directory of that name."))
        })
    }
}

pub(crate) async fn run(session: &Session, arguments: DiffArguments) -> Result<Code, Failure> {
    let (before, after) = (Operand::new(arguments.before)?, Operand::new(arguments.after)?);
    let options = DiffOptions {
        exclusions: arguments.exclusions.read(session.own_directories()?)?,
        by_hash: arguments.by_hash,
        cache_dir: Some(session.cache_dir()),
        ..DiffOptions::default()
    };
    let mut list = ChangeList::new(session.output(), arguments.report.json);
    if arguments.null {
        list = list.for_programs();
    }
    let mut tell = |change: Change| match arguments.times || !only_times_differ(&change) {
        true => list.show(change.kind(), change.path()),
        false => Ok(()),
    };
    let cache = session.cache_dir();
    let done = match (before, after) {
        (Operand::Snapshot(before), Operand::Snapshot(after)) => {
            let (namespace, before) = snapshot(session, &before).await?;
            let (_, after) = snapshot(session, &after).await?;
            floe_core::diff(&namespace, &before, &after, Some(&cache), &mut tell).await
        }
        (Operand::Snapshot(before), Operand::Directory(after)) => {
            against_directory(session, &before, &after, options, &mut tell).await?
        }
        (Operand::Directory(before), Operand::Snapshot(after)) => {
            let mut reversed = |change| tell(reversed(change));
            against_directory(session, &after, &before, options, &mut reversed).await?
        }
        (Operand::Directory(_), Operand::Directory(_)) => {
            let advice = "Push one of them first, or use diff -r.";
            return Err(Failure::usage("two directories are not compared, one must be a snapshot", advice));
        }
    };
    let differs = list.count() > 0;
    let code = if differs && arguments.exit_code { Code::Failed } else { Code::Done };
    match list.end(done, |()| serde_json::to_string(&session.traffic())) {
        // Whoever reads no further still learns that something differs.
        Err(failure) if failure.is_silent() && code == Code::Failed => Ok(code),
        settled => settled.map(|()| code),
    }
}

/// Whoever names what is no ref may mean the directory of that name.
async fn snapshot(session: &Session, reference: &Reference) -> Result<(Namespace, Snapshot), Failure> {
    match session.snapshot(reference, Limits::default()).await {
        Ok((namespace, _, snapshot)) => Ok((namespace, snapshot)),
        Err(failure) if failure.is(ErrorKind::NotFound) && Path::new(&reference.to_string()).is_dir() => {
            Err(failure.advise(format!("Write ./{reference} for the directory of that name.")))
        }
        Err(failure) => Err(failure),
    }
}

async fn against_directory(
    session: &Session,
    reference: &Reference,
    directory: &Path,
    options: DiffOptions,
    tell: &mut (dyn FnMut(Change) -> floe_core::Result<()> + Send),
) -> Result<floe_core::Result<()>, Failure> {
    let (namespace, snapshot) = snapshot(session, reference).await?;
    let options = DiffOptions { cancel: session.interruption(), ..options };
    Ok(floe_core::diff_directory(&namespace, Some(&snapshot), directory, &options, tell).await)
}

/// The same change, seen from the other side.
fn reversed(change: Change) -> Change {
    match change {
        Change::Added(entry) => Change::Removed(entry),
        Change::Removed(entry) => Change::Added(entry),
        Change::Changed { before, after, content } => {
            Change::Changed { before: after, after: before, content }
        }
    }
}

fn only_times_differ(change: &Change) -> bool {
    let Change::Changed { before, after, content: false } = change else { return false };
    before.mode == after.mode && before.owner == after.owner && before.xattrs == after.xattrs
}

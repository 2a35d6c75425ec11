//! `floe pull`.

mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use floe_core::{ErrorKind, Foreseen, PullOptions, PullProgress};

use crate::arguments::ReportArguments;
use crate::failure::{Code, Failure};
use crate::output::printable;
use crate::pace::Pace;
use crate::progress::{Moment, Progress};
use crate::quantities::ByteCount;
use crate::session::{Limits, Session};
use crate::tree_path::TreePath;

use self::report::Told;
use super::changes::ChangeList;

/// Write a snapshot, or a part of it, to a directory
///
/// A new directory appears when all of it is there. An existing one is used as it is, and only what differs is written in
/// it, each file at once; its mode and time become the snapshot's, and what the snapshot does not have stays, unless
/// --delete is given. Where PATH is a file, it is written into DEST if that is a directory, else as DEST.
#[derive(Clone, Debug, Args)]
pub(crate) struct PullArguments {
    /// Which snapshot, and which part of it
    #[arg(value_name = "REF[:PATH]")]
    source: TreePath,
    /// Where to write it
    #[arg(value_name = "DEST")]
    destination: PathBuf,
    /// Only what matches a glob or is below what does; `x/` is of directories only; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = NonEmptyStringValueParser::new())]
    include: Vec<String>,
    /// Not what matches a glob or is below what does; `x/` is of directories only; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = NonEmptyStringValueParser::new())]
    exclude: Vec<String>,
    /// Show what would be done, and write nothing: A, written where nothing is; M, written over what is there; m, given
    /// other attributes; D, removed, with all that is in it
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// In an existing directory: remove what the snapshot does not have
    #[arg(long)]
    delete: bool,
    /// In an existing directory: compare contents, whatever the times and sizes say
    #[arg(long)]
    by_hash: bool,
    /// End only when what was written would survive a loss of power
    #[arg(long)]
    sync: bool,
    /// Restore owners, where the snapshot keeps them
    #[arg(long)]
    owner: bool,
    /// Restore extended attributes, where the snapshot keeps them
    #[arg(long)]
    xattrs: bool,
    /// Make device nodes
    #[arg(long)]
    devices: bool,
    /// Restore the setuid, setgid and sticky bits of files, the first two not where owner or group is another than in the
    /// snapshot: --owner restores these; directories have theirs restored always
    #[arg(long)]
    setuid: bool,
    /// Read at most so much a second from the store, as 10MiB; 0 is no limit
    #[arg(long, value_name = "SIZE")]
    limit_download: Option<ByteCount>,
    /// How many threads write [default: one a processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
}

impl PullArguments {
    /// Says, where a pull is done again, of another generation, what of the first one may stay.
    pub(crate) fn tell_of_what_may_stay(&self) {
        if self.dry_run || self.delete || !self.destination.is_dir() {
            return;
        }
        tracing::warn!(
            "the snapshot is another by now; some of the former one may have been written to {} already, and what only that \
             has stays there: --delete removes it",
            printable(&self.destination.display().to_string())
        );
    }
}

pub(crate) async fn run(session: &Session, arguments: PullArguments) -> Result<Code, Failure> {
    if arguments.destination.as_os_str() == "-" {
        let advice =
            "`floe cat REF:PATH` writes a file there, `floe archive` a tar; a directory called so is `./-`.";
        return Err(Failure::new(Code::Usage, "nothing is pulled to standard output", advice));
    }
    let limits = Limits { download: arguments.limit_download, ..Limits::default() };
    let options = PullOptions {
        path: arguments.source.path.clone(),
        include: arguments.include,
        exclude: arguments.exclude,
        delete: arguments.delete,
        owner: arguments.owner,
        xattrs: arguments.xattrs,
        devices: arguments.devices,
        special_bits: arguments.setuid,
        sync: arguments.sync,
        by_hash: arguments.by_hash,
        own: session.own_directories()?,
        cache_dir: Some(session.cache_dir()),
        threads: arguments.jobs.map(usize::from),
        cancel: session.interruption(),
    };
    let (namespace, resolved, snapshot) = session.snapshot(&arguments.source.reference, limits).await?;
    let progress = Arc::new(PullProgress::default());
    let destination = &arguments.destination;
    let shown = show_progress(session, &progress);
    let told = Told { session, resolved: &resolved, source: &arguments.source };
    let json = arguments.report.json;
    let pulled = if arguments.dry_run {
        let mut list = ChangeList::new(session.output(), json);
        let mut shown = Some(shown);
        let each = &mut |foreseen: Foreseen| {
            // Lines would tear it.
            shown.take();
            list.show(foreseen.kind, &foreseen.path)
        };
        let foreseen =
            floe_core::foresee_pull(&namespace, &snapshot, destination, &options, &progress, each).await;
        drop(shown);
        list.end(foreseen, |pulled| serde_json::to_string(&told.report(pulled)))
    } else {
        let heeding = session.heed_interrupts();
        let pulled = floe_core::pull(&namespace, &snapshot, destination, &options, &progress).await;
        drop((heeding, shown));
        pulled.map_err(Failure::from)
    };
    let pulled = pulled.map_err(|failure| match failure.is(ErrorKind::Conflict) {
        true => failure
            .advise("Look whether another pull writes there, wait for its end, then run the command again."),
        false => failure,
    })?;
    if json && !arguments.dry_run {
        session.output().json(&told.report(&pulled))?;
    }
    told.show(&pulled, json);
    Ok(Code::Done)
}

fn show_progress(session: &Session, progress: &Arc<PullProgress>) -> Progress {
    let progress = Arc::clone(progress);
    Progress::start(session.output(), "Pulling", Pace::default(), move || {
        let total_bytes = progress.file_bytes_total.load(Ordering::Relaxed);
        Moment {
            bytes: progress.file_bytes.load(Ordering::Relaxed),
            total_bytes: Some(total_bytes).filter(|bytes| *bytes > 0),
            reused_bytes: Some(progress.reused_file_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0),
            files: Some(progress.files.load(Ordering::Relaxed)),
            ..Moment::default()
        }
    })
}

//! `floe archive`.

mod rights;
mod target;

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use clap::{Args, ValueEnum};
use floe_core::source::refuse_in_own;
use floe_core::{ArchiveFormat, ArchiveOptions, Reference};
use serde::Serialize;

use crate::arguments::ReportArguments;
use crate::counting::TrafficReport;
use crate::failure::{Code, Failure};
use crate::output::hex_unless_text;
use crate::quantities::{ByteCount, duration};
use crate::session::{Limits, Session};

use self::target::Target;

/// Write a snapshot as one archive, to standard output or a file
///
/// A tar.zst is the stored frames end to end: the same bytes on every machine. Owners, times and extended attributes
/// are not in it.
#[derive(Clone, Debug, Args)]
pub(crate) struct ArchiveArguments {
    /// A reference: `name`, `name@GENERATION` or a snapshot id
    #[arg(value_name = "REF")]
    reference: Reference,
    /// What to write [default: what FILE's name says, else tar.zst]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Write to this file, which appears when it is whole; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Read at most so much a second from the store, as 10MiB; 0 is no limit
    #[arg(long, value_name = "SIZE")]
    limit_download: Option<ByteCount>,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    #[value(name = "tar")]
    Tar,
    #[value(name = "tar.zst")]
    TarZst,
}

impl Format {
    /// What a file's name says it is to be, tar.zst where it says nothing; none where it says something else.
    fn of_name(path: &Path) -> Option<Self> {
        // What ends the names of archives that are not written here.
        const OTHERS: [&str; 9] = [".gz", ".tgz", ".xz", ".txz", ".bz2", ".tbz2", ".lz4", ".zip", ".7z"];
        let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        if name.ends_with(".tar") {
            Some(Self::Tar)
        } else if OTHERS.iter().any(|end| name.ends_with(end)) {
            None
        } else {
            Some(Self::TarZst)
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::TarZst => "tar.zst",
        }
    }
}

#[derive(Serialize)]
struct ArchiveReport<'a> {
    snapshot: String,
    layout: String,
    format: &'static str,
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_hex: Option<String>,
    archive_bytes: u64,
    elapsed_seconds: f64,
    #[serde(flatten)]
    traffic: TrafficReport,
}

pub(crate) async fn run(session: &Session, mut arguments: ArchiveArguments) -> Result<Code, Failure> {
    arguments.output = arguments.output.filter(|path| path.as_os_str() != "-");
    let format = choose_format(&arguments)?;
    let output = session.output();
    let Some(path) = &arguments.output else {
        if arguments.report.json {
            let advice = "Name a file with -o, or leave --json out.";
            return Err(Failure::usage("a report and an archive cannot both go to standard output", advice));
        }
        if output.is_terminal() {
            let advice = "Name a file with -o, or send standard output to a file or another command.";
            return Err(Failure::usage("an archive is not for a terminal", advice));
        }
        let (out, outcome) = output.stream();
        let done = write(session, &arguments, format, Box::new(out), false).await;
        // Only what the engine says is kept back; what failed before it wrote nothing.
        let (_, written) = done?;
        outcome.settle(written)?;
        return Ok(Code::Done);
    };
    refuse_in_own(path, &session.own_directories()?)?;
    let (target, out) = Target::create(path, || session.token())?;
    if target.is_final() {
        output.note_data();
    }
    let is_removed = !target.is_final();
    let (at, written) = write(session, &arguments, format, Box::new(out), is_removed).await?;
    let archive_bytes = written?;
    target.keep()?;
    if arguments.report.json {
        output.json(&ArchiveReport {
            snapshot: at.snapshot.to_string(),
            layout: at.layout.to_string(),
            format: format.name(),
            file: &path.to_string_lossy(),
            file_hex: hex_unless_text(path.as_os_str().as_bytes()),
            archive_bytes,
            elapsed_seconds: session.elapsed().as_secs_f64(),
            traffic: session.traffic(),
        })?;
        return Ok(Code::Done);
    }
    let time = duration(session.elapsed());
    output.note(&format!("Wrote {} ({}) in {time}.", path.display(), ByteCount(archive_bytes)));
    Ok(Code::Done)
}

fn choose_format(arguments: &ArchiveArguments) -> Result<Format, Failure> {
    if let Some(format) = arguments.format {
        return Ok(format);
    }
    let Some(path) = &arguments.output else { return Ok(Format::TarZst) };
    Format::of_name(path).ok_or_else(|| {
        let message = format!("the name {} is of an archive that Floe does not write", path.display());
        Failure::usage(message, "Say --format tar or --format tar.zst, or end the name in .tar or .tar.zst.")
    })
}

/// Has the archive written; the outer failure is of what comes before. `is_removed` says whether `out` is, where that fails.
async fn write(
    session: &Session,
    arguments: &ArchiveArguments,
    format: Format,
    out: Box<dyn Write + Send>,
    is_removed: bool,
) -> Result<(floe_core::SnapshotAt, floe_core::Result<u64>), Failure> {
    let limits = Limits { download: arguments.limit_download, ..Limits::default() };
    let (namespace, resolved, snapshot) = session.snapshot(&arguments.reference, limits).await?;
    let options = ArchiveOptions { cache_dir: Some(session.cache_dir()), cancel: session.interruption() };
    let format = match format {
        Format::Tar => ArchiveFormat::Tar,
        Format::TarZst => ArchiveFormat::TarZst,
    };
    let stored_bytes = snapshot.layout().items.iter().map(|item| item.stored_len).sum();
    let shown = session.show_reading("Archiving", Arc::new(AtomicU64::new(stored_bytes)));
    let heeding = is_removed.then(|| session.heed_interrupts());
    let archived = floe_core::archive(&namespace, &snapshot, format, out, &options).await;
    drop((heeding, shown));
    Ok((resolved.at, archived))
}

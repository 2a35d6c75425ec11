//! `floe show`.

use std::io::{self, Write};

use clap::Args;
use floe_core::{Reference, Resolved, Snapshot};
use floe_format::Kept;
use serde::Serialize;

use crate::arguments::ReportArguments;
use crate::commands::generation::AnnotationReport;
use crate::counting::TrafficReport;
use crate::failure::{Code, Failure};
use crate::output::printable;
use crate::quantities::{ByteCount, age, count, thousands};
use crate::session::{Limits, Session};

/// Show what a snapshot is and where it is
#[derive(Clone, Debug, Args)]
pub(crate) struct ShowArguments {
    /// A reference: `name`, `name@GENERATION` or a snapshot id
    #[arg(value_name = "REF")]
    reference: Reference,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
}

#[derive(Serialize)]
struct ShowReport<'a> {
    snapshot: String,
    layout: String,
    namespace: &'a str,
    kind: &'static str,
    entry_count: u64,
    file_count: u64,
    file_bytes: u64,
    tar_bytes: u64,
    archive_bytes: u64,
    archive_etag: String,
    reproducible: bool,
    kept: Vec<&'static str>,
    packs: Vec<PackReport>,
    #[serde(rename = "ref")]
    name: Option<&'a str>,
    #[serde(flatten)]
    annotation: Option<AnnotationReport<'a>>,
    #[serde(flatten)]
    traffic: TrafficReport,
}

#[derive(Serialize)]
struct PackReport {
    pack: String,
    pack_bytes: u64,
    metadata: bool,
}

pub(crate) async fn run(session: &Session, arguments: ShowArguments) -> Result<Code, Failure> {
    let (_, resolved, snapshot) = session.snapshot(&arguments.reference, Limits::default()).await?;
    if arguments.report.json {
        let report = report(session, &resolved, &snapshot);
        session.output().json(&report)?;
    } else {
        session.output().data(|out| write(out, session, &resolved, &snapshot))?;
    }
    Ok(Code::Done)
}

fn report<'a>(session: &'a Session, resolved: &'a Resolved, snapshot: &Snapshot) -> ShowReport<'a> {
    let (root, layout) = (snapshot.root(), snapshot.layout());
    let named = resolved.generation.as_ref();
    ShowReport {
        snapshot: resolved.at.snapshot.to_string(),
        layout: resolved.at.layout.to_string(),
        namespace: session.settings().namespace().as_str(),
        kind: "tree",
        entry_count: root.entries,
        file_count: root.files,
        file_bytes: root.file_bytes,
        tar_bytes: root.length,
        archive_bytes: layout.archive_len(),
        archive_etag: hex(&layout.archive_etag()),
        reproducible: root.reproducible,
        kept: kept(root.kept),
        packs: layout
            .packs
            .iter()
            .map(|pack| PackReport {
                pack: pack.id.to_string(),
                pack_bytes: pack.len,
                metadata: pack.has_metadata,
            })
            .collect(),
        name: named.map(|(name, _)| name.as_str()),
        annotation: named.map(|(_, generation)| AnnotationReport::new(generation)),
        traffic: session.traffic(),
    }
}

fn write(out: &mut dyn Write, session: &Session, resolved: &Resolved, snapshot: &Snapshot) -> io::Result<()> {
    let (root, layout) = (snapshot.root(), snapshot.layout());
    writeln!(out, "snapshot   {}", resolved.at.snapshot)?;
    writeln!(out, "layout     {}", resolved.at.layout)?;
    if let Some((name, generation)) = &resolved.generation {
        writeln!(out, "ref        {name}@{}", generation.generation)?;
        writeln!(out, "time       {} ({})", generation.time, age(generation.time, session.now()))?;
        if let Some(text) = &generation.message {
            writeln!(out, "message    {}", printable(text))?;
        }
        for (label, value) in &generation.labels {
            writeln!(out, "label      {}={}", printable(label), printable(value))?;
        }
        if generation.skipped > 0 {
            let entries = count(generation.skipped, "unreadable entry", "unreadable entries");
            writeln!(out, "skipped    {entries}")?;
        }
    }
    let kept = kept(root.kept);
    let kept = if kept.is_empty() { "nothing besides modes and contents".into() } else { kept.join(", ") };
    let made = if root.reproducible { " (reproducible)" } else { "" };
    writeln!(out, "kind       tree")?;
    writeln!(out, "entries    {}, {} of them files", thousands(root.entries), thousands(root.files))?;
    writeln!(out, "contents   {}, as a tar {}", ByteCount(root.file_bytes), ByteCount(root.length))?;
    writeln!(
        out,
        "archive    {} as tar.zst, ETag {}",
        ByteCount(layout.archive_len()),
        hex(&layout.archive_etag())
    )?;
    writeln!(out, "kept       {kept}{made}")?;
    for pack in &layout.packs {
        let metadata = if pack.has_metadata { ", with metadata" } else { "" };
        writeln!(out, "pack       {} ({}{metadata})", pack.id, ByteCount(pack.len))?;
    }
    Ok(())
}

fn kept(kept: Kept) -> Vec<&'static str> {
    [(Kept::MTIME, "mtimes"), (Kept::OWNER, "owners"), (Kept::XATTRS, "xattrs")]
        .into_iter()
        .filter_map(|(bit, name)| kept.contains(bit).then_some(name))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

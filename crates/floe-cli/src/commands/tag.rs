//! `floe tag`.

use clap::Args;
use floe_core::{RefName, Reference, Tagged};
use serde::Serialize;

use crate::arguments::{AnnotationArguments, ReportArguments};
use crate::counting::TrafficReport;
use crate::failure::{Code, Failure};
use crate::session::{Limits, Session};

/// Make a ref name a snapshot that exists
///
/// Moves nothing but the name. `floe tag main@5 main` brings back what `main` named at generation 5.
#[derive(Clone, Debug, Args)]
pub(crate) struct TagArguments {
    /// A reference: `name`, `name@GENERATION` or a snapshot id
    #[arg(value_name = "REF-OR-ID")]
    reference: Reference,
    /// The ref's name
    name: RefName,
    #[command(flatten)]
    annotation: AnnotationArguments,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
}

#[derive(Serialize)]
struct TagReport<'a> {
    #[serde(rename = "ref")]
    name: &'a str,
    generation: u64,
    snapshot: String,
    layout: String,
    outcome: &'static str,
    #[serde(flatten)]
    traffic: TrafficReport,
}

pub(crate) async fn run(session: &Session, arguments: TagArguments) -> Result<Code, Failure> {
    let namespace = session.namespace(Limits::default()).await?;
    let resolved = namespace.resolve(&arguments.reference).await?;
    let name = &arguments.name;
    let annotation = arguments.annotation.read()?;
    // A few requests, after which no lease is left.
    let heeding = session.heed_interrupts();
    let tagged = namespace.tag(name, resolved.at, &session.holder("tag"), annotation).await;
    drop(heeding);
    let tagged = tagged?;
    let (record, outcome) = match &tagged {
        Tagged::Committed(record) => (record, "committed"),
        Tagged::Unchanged(record) => (record, "unchanged"),
    };
    let at = record.current.at().unwrap_or(resolved.at);
    let generation = record.current.generation;
    if arguments.report.json {
        session.output().json(&TagReport {
            name: name.as_str(),
            generation,
            snapshot: at.snapshot.to_string(),
            layout: at.layout.to_string(),
            outcome,
            traffic: session.traffic(),
        })?;
        return Ok(Code::Done);
    }
    session.output().data(|out| writeln!(out, "{name}@{generation} {}", at.snapshot))?;
    if matches!(tagged, Tagged::Unchanged(_)) {
        session.output().note(&format!("Unchanged: {name} names it already."));
    }
    Ok(Code::Done)
}

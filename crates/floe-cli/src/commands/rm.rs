//! `floe rm`.

use clap::Args;
use floe_core::RefName;
use serde::Serialize;

use crate::arguments::{AnnotationArguments, ReportArguments};
use crate::counting::TrafficReport;
use crate::failure::{Code, Failure};
use crate::session::{Limits, Session};

/// Remove a ref; what it named can be brought back while its history remembers it
///
/// Space in the store returns with garbage collection, which is not built yet.
#[derive(Clone, Debug, Args)]
pub(crate) struct RmArguments {
    /// The ref's name
    #[arg(value_name = "REF")]
    name: RefName,
    #[command(flatten)]
    annotation: AnnotationArguments,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
}

#[derive(Serialize)]
struct RmReport<'a> {
    #[serde(rename = "ref")]
    name: &'a str,
    generation: u64,
    removed: bool,
    #[serde(flatten)]
    traffic: TrafficReport,
}

pub(crate) async fn run(session: &Session, arguments: RmArguments) -> Result<Code, Failure> {
    let namespace = session.namespace(Limits::default()).await?;
    let name = &arguments.name;
    let annotation = arguments.annotation.read()?;
    // A few requests, after which no lease is left.
    let heeding = session.heed_interrupts();
    let removed = namespace.remove_ref(name, &session.holder("rm"), annotation).await;
    drop(heeding);
    let record = removed?;
    let generation = record.current.generation;
    if arguments.report.json {
        let traffic = session.traffic();
        session.output().json(&RmReport { name: name.as_str(), generation, removed: true, traffic })?;
        return Ok(Code::Done);
    }
    let last = record.history.iter().find(|former| former.at().is_some());
    let back = last
        .map(|last| format!("; `floe tag {name}@{} {name}` brings it back", last.generation))
        .unwrap_or_default();
    session.output().note(&format!(
        "Removed {name}{back}. Space in the store returns with garbage collection, which is not built yet."
    ));
    Ok(Code::Done)
}

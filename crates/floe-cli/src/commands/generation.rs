//! How a generation of a ref is reported.

use std::collections::BTreeMap;

use floe_core::Generation;
use serde::Serialize;

/// What a ref says of a generation, whatever it named then.
#[derive(Debug, Serialize)]
pub(crate) struct AnnotationReport<'a> {
    generation: u64,
    time: String,
    message: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    skipped_count: u64,
}

/// A generation and what the ref named.
#[derive(Debug, Serialize)]
pub(crate) struct GenerationReport<'a> {
    removed: bool,
    snapshot: Option<String>,
    layout: Option<String>,
    #[serde(flatten)]
    annotation: AnnotationReport<'a>,
}

impl<'a> AnnotationReport<'a> {
    /// This generation's.
    pub(crate) fn new(generation: &'a Generation) -> Self {
        Self {
            generation: generation.generation,
            time: generation.time.to_string(),
            message: generation.message.as_deref(),
            labels: &generation.labels,
            skipped_count: generation.skipped,
        }
    }
}

impl<'a> GenerationReport<'a> {
    /// This generation's.
    pub(crate) fn new(generation: &'a Generation) -> Self {
        let at = generation.at();
        Self {
            removed: at.is_none(),
            snapshot: at.map(|at| at.snapshot.to_string()),
            layout: at.map(|at| at.layout.to_string()),
            annotation: AnnotationReport::new(generation),
        }
    }
}

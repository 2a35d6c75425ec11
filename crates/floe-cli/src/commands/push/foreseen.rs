//! What a push would change.

use std::path::Path;

use floe_core::{
    DiffOptions, ErrorKind, Namespace, PushOptions, PushOutcome, Reference, Result, Snapshot, diff_directory,
};

use super::report::Told;
use crate::commands::changes::ChangeList;

/// Lists what differs from what the directory was pushed against, after a dry run of that push. What that could not read
/// is left out, as it was there.
pub(super) async fn list(
    namespace: &Namespace,
    directory: &Path,
    options: &PushOptions,
    told: &Told<'_>,
    list: &mut ChangeList,
) -> Result<()> {
    if matches!(told.pushed.outcome, PushOutcome::Unchanged(_)) {
        return Ok(());
    }
    let reference = Reference::Ref(told.name.clone());
    let at = match options.base {
        Some(at) => Some(at),
        None => match namespace.resolve(&reference).await {
            Ok(resolved) => Some(resolved.at),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        },
    };
    let before = match at {
        Some(at) => Some(Snapshot::open(namespace, at).await?),
        None => None,
    };
    let diff = DiffOptions {
        exclusions: options.exclusions.clone(),
        unread: told.pushed.skipped.iter().map(|unread| unread.path.clone()).collect(),
        cache_dir: options.cache_dir.clone(),
        cancel: options.cancel.clone(),
        ..DiffOptions::default()
    };
    let each = &mut |change: floe_core::Change| list.show(change.kind(), change.path());
    diff_directory(namespace, before.as_ref(), directory, &diff, each).await
}

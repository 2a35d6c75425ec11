//! What a push would change.

use std::path::Path;

use floe_core::{
    Change, DiffOptions, ErrorKind, Namespace, PushOptions, PushOutcome, Result, Snapshot, SnapshotAt,
    diff_directory,
};

use super::report::Told;
use crate::commands::changes::ChangeList;

/// Lists what differs from what the ref names, or from the base that was asked for, after a dry run of a push. What that
/// could not read is left out, as it was there; where it would have gone on without a damaged base, the list ends.
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
    let diff = DiffOptions {
        exclusions: options.exclusions.clone(),
        by_hash: options.by_hash,
        unread: told.pushed.skipped.iter().map(|unread| unread.path.clone()).collect(),
        cache_dir: options.cache_dir.clone(),
        cancel: options.cancel.clone(),
    };
    let listed = async {
        let before = match before(namespace, options, told).await? {
            Some(at) => Some(Snapshot::open(namespace, at).await?),
            None => None,
        };
        if before.as_ref().is_some_and(|before| is_kept_otherwise(before, options)) {
            tracing::warn!("other attributes are kept than before: where only these differ is not listed");
        }
        let each = &mut |change: Change| list.show(change.kind(), change.path());
        diff_directory(namespace, before.as_ref(), directory, &diff, each).await
    };
    match listed.await {
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
            tracing::warn!("what differs cannot be listed, or not all of it: {error}");
            Ok(())
        }
        listed => listed,
    }
}

async fn before(namespace: &Namespace, options: &PushOptions, told: &Told<'_>) -> Result<Option<SnapshotAt>> {
    if options.base.is_some() {
        return Ok(options.base);
    }
    let record = namespace.read_ref(told.name).await?;
    Ok(record.and_then(|(record, _)| record.current.at()))
}

fn is_kept_otherwise(before: &Snapshot, options: &PushOptions) -> bool {
    let root = before.root();
    (root.kept, root.reproducible) != (options.kept, options.reproducible)
}

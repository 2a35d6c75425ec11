//! A tree pushed, changed, pulled, looked into, named anew and removed.

use std::fs;

use floe_core::{
    Annotation, Depth, PullOptions, PullOutcome, PushOutcome, Snapshot, Tagged, VerifyOptions, list, pull,
    verify,
};
use floe_testkit::bytes_of;

use super::{Place, name, namespace, push_to, small_files};
use crate::push::{listing, text, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tree_in_process() {
    whole(&Place::in_process().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a server: `.ci/run stores`"]
async fn store_server_holds_a_tree() {
    whole(&Place::of_environment()).await;
}

async fn whole(place: &Place) {
    let dir = tempfile::tempdir().unwrap();
    let (source, cache) = (dir.path().join("source"), dir.path().join("cache"));
    small_files(&source, 50, 40, 1_500);
    // So much that does not compress that the pack goes in three parts.
    write(&source.join("noise"), &bytes_of(5, 20_000_000));

    let first = {
        let namespace = namespace(place.store()).await;
        let first = push_to(&namespace, &source, "main", Some(&cache)).await.unwrap();
        assert_eq!((first.files, first.reused_files), (2_001, 0));
        first
    };
    write(&source.join("directory-020/file-007"), &text(1_000_000, 1_600));
    // All else as another process would, with what the first left in the cache.
    let namespace = namespace(place.store()).await;
    let second = push_to(&namespace, &source, "main", Some(&cache)).await.unwrap();
    assert!(matches!(&second.outcome, PushOutcome::Committed(record) if record.current.generation == 2));
    assert_eq!(second.reused_files, 2_000);
    assert!(second.uploaded_bytes < 150_000, "{}", second.uploaded_bytes);
    let again = push_to(&namespace, &source, "main", Some(&cache)).await.unwrap();
    assert!(matches!(again.outcome, PushOutcome::Unchanged(_)));

    let snapshot = Snapshot::open(&namespace, second.at).await.unwrap();
    let pulled = dir.path().join("pulled");
    let options = PullOptions { cache_dir: Some(cache.clone()), ..PullOptions::default() };
    pull(&namespace, &snapshot, &pulled, &options, &Default::default()).await.unwrap();
    assert_eq!(listing(&source), listing(&pulled));

    // Over what is there: one file differs, and one is not the snapshot's.
    write(&pulled.join("directory-001/file-001"), b"another");
    write(&pulled.join("stray"), b"stray");
    let options = PullOptions { delete: true, ..options };
    let over = pull(&namespace, &snapshot, &pulled, &options, &Default::default()).await.unwrap();
    assert_eq!((over.outcome, over.written_files, over.removed), (PullOutcome::Updated, 1, 1));
    assert_eq!(listing(&source), listing(&pulled));

    let mut listed = Vec::new();
    list(&namespace, &snapshot, b"directory-020", Depth::Children, None, &mut |entry| {
        listed.push(String::from_utf8(entry.path.to_vec()).unwrap());
        Ok(())
    })
    .await
    .unwrap();
    let expected: Vec<_> = (0..40).map(|file| format!("directory-020/file-{file:03}")).collect();
    assert_eq!(listed, expected);

    let tagged = namespace.tag(&name("release/1"), first.at, "test", Annotation::default()).await.unwrap();
    assert!(matches!(tagged, Tagged::Committed(_)));
    namespace.remove_ref(&name("main"), "test", Annotation::default()).await.unwrap();
    assert_eq!(namespace.ref_names().await.unwrap().names, [name("main"), name("release/1")]);
    let verified = verify(&namespace, &VerifyOptions::default()).await.unwrap();
    assert_eq!((verified.damages, verified.unreferenced), (vec![], vec![]));
    assert_eq!((verified.refs, verified.snapshots, verified.packs), (2, 2, 2));

    let former = dir.path().join("former");
    let snapshot = Snapshot::open(&namespace, first.at).await.unwrap();
    pull(&namespace, &snapshot, &former, &PullOptions::default(), &Default::default()).await.unwrap();
    assert_eq!(fs::read(former.join("directory-020/file-007")).unwrap(), text(20 * 40 + 7, 1_500));
}

//! Many snapshots, each of a small change.

use floe_core::{VerifyOptions, verify};

use super::*;

/// Verifying keeps few of them in memory, and looks at all.
#[tokio::test(flavor = "multi_thread")]
async fn i8_verify_opens_again_what_it_does_not_keep() {
    let bench = Bench::new().await;
    fill(&bench.source());
    for number in 0..75 {
        write(&bench.source().join("changing"), format!("{number}").as_bytes());
        let target = ["a", "b", "c"][number / 25].parse().unwrap();
        let source = PushSource::Directory(bench.source());
        push(&bench.namespace, source, &target, &bench.options(), &Arc::default()).await.unwrap();
    }
    bench.store.clear();
    let verified = verify(&bench.namespace, &VerifyOptions::default()).await.unwrap();
    assert_eq!((verified.refs, verified.snapshots, &verified.damages[..]), (3, 75, &[][..]));
    let requests = bench.store.requests();
    let opened = requests.iter().filter(|request| request.key.contains("/snapshots/")).count();
    assert_eq!(opened, 75 + 11);
}

//! How many requests a change of a ref costs, and how many of them wait for one another.

use std::sync::Arc;

use floe_testkit::RecordingStore;

use super::collector::{condemn, next_generation};
use super::meddler::Meddler;
use super::{Change, PACKS, World, pack_id};

/// All requests of a change, each after the number of those it waited for.
async fn requests(change: Change, prepare: impl FnOnce(&World)) -> Vec<String> {
    let world = World::new().await;
    let store = RecordingStore::new(Arc::new(Meddler::none(&world.memory)));
    let namespace = world.through(Arc::new(store.clone())).await;
    prepare(&world);
    store.clear();
    change.make(&world, &namespace).await.unwrap();
    assert_eq!(world.leases(), []);
    let kind = |key: &str| {
        let mut parts = key.split('/').skip(1);
        parts.next().unwrap().to_owned()
    };
    store
        .requests()
        .iter()
        .map(|request| format!("{} {:?} {}", request.depth, request.operation, kind(&request.key)))
        .collect()
}

const COMMIT: [&str; 6] =
    ["1 Create leases", "2 Get gc", "2 Get refs", "3 Swap leases", "4 Swap refs", "5 Delete leases"];

#[tokio::test]
async fn a_ref_that_exists_is_moved_back_or_removed_in_six_requests() {
    assert_eq!(requests(Change::Back, |_| ()).await, COMMIT);
    assert_eq!(requests(Change::Remove, |_| ()).await, COMMIT);
}

#[tokio::test]
async fn what_the_ref_does_not_name_is_asked_for() {
    assert_eq!(PACKS, 2);
    let expected = [
        "1 Create leases",
        "2 Get gc",
        "2 Get refs",
        "3 Get snapshots",
        "4 Head packs",
        "4 Head packs",
        "5 Swap leases",
        "6 Swap refs",
        "7 Delete leases",
    ];
    assert_eq!(requests(Change::Move, |_| ()).await, expected);
    let created = expected.map(|request| request.replace("Swap refs", "Create refs"));
    assert_eq!(requests(Change::New, |_| ()).await, created);
}

#[tokio::test]
async fn a_wrong_guess_costs_two_requests() {
    let expected = [
        "1 Create leases",
        "2 Get gc",
        "2 Get refs",
        "3 Swap leases",
        "4 Get gc",
        "5 Swap leases",
        "6 Swap refs",
        "7 Delete leases",
    ];
    assert_eq!(requests(Change::Back, |world| next_generation(&world.memory)).await, expected);
}

/// Which packs a ref names is not in the ref: where any is condemned, the layout is read.
#[tokio::test]
async fn condemned_packs_cost_one_more() {
    let prepare = |world: &World| condemn(&world.memory, "condemned", &[pack_id(9, 9).to_string()], &[]);
    let back = requests(Change::Back, prepare).await;
    assert_eq!(back[5], "5 Get snapshots");
    assert_eq!(back.len(), 9);
}

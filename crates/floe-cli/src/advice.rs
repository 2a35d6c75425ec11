//! Sentences that say what to do, where the kind of an error says too little of that.

use std::collections::BTreeSet;

use floe_core::Remedy;

/// What to do about an error that has this remedy.
pub(crate) fn of_remedy(remedy: Remedy) -> Option<&'static str> {
    Some(match remedy {
        Remedy::RestoreRef => {
            "Restore this ref from a copy of the store, or push again to another name; `floe verify` tells what else is \
             damaged."
        }
        Remedy::RestoreNamespace => {
            "Restore this object from a copy of the store, or push again to another --namespace; what is not damaged can \
             still be pulled."
        }
        Remedy::Remove => "Move what Floe did not write there elsewhere.",
        Remedy::OtherRef => "Use another name; this one takes no more generations.",
        Remedy::OtherGeneration => "`floe log REF` lists the generations that a ref remembers.",
        Remedy::OtherPath => {
            "`floe ls REF` lists what the snapshot has at its top, `floe ls REF:PATH` what is in a directory of it."
        }
        Remedy::OtherNamespace => "Push through that server, or name another --namespace.",
        Remedy::QuietSource => {
            "Run the command again when nothing writes there, or leave that out with --exclude."
        }
        Remedy::Delete => {
            "Run the command again with --delete, which removes all that the snapshot does not have, or pull to another \
             directory."
        }
        Remedy::LeaveOut => "Leave that out with --exclude, or pull to another place.",
        Remedy::OtherPlace => "Pull to another place, or move what is in the way elsewhere.",
        Remedy::SkipUnreadable => {
            "Run the command again as somebody who may read that, or leave it out with --skip-unreadable or --exclude."
        }
        Remedy::Pattern => "Correct the pattern and run the command again.",
        Remedy::Options => "Run the command again without the options that cannot be had here.",
        Remedy::Environment => {
            "Set what that cloud wants in the environment, which the README names; for S3 an AWS profile will do, too."
        }
        Remedy::Endpoint => "Correct the endpoint where it was named; `floe config show` says where.",
        _ => return None,
    })
}

/// What to do about several damaged objects, by their remedies; `again` about those that a push brings back.
pub(crate) fn on_damages(remedies: &BTreeSet<Option<Remedy>>, again: &str) -> String {
    let mut sentences = Vec::new();
    for remedy in remedies {
        let sentence = remedy.and_then(of_many).unwrap_or(again);
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    sentences.join(" ")
}

fn of_many(remedy: Remedy) -> Option<&'static str> {
    Some(match remedy {
        Remedy::RestoreRef => {
            "Restore refs that cannot be read from a copy of the store, or push again to other names."
        }
        Remedy::RestoreNamespace => {
            "Restore `gc/state` from a copy of the store; until then nothing is pushed to this namespace."
        }
        other => return of_remedy(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_remedy_of_several_damages_is_told_once() {
        let remedies = BTreeSet::from([
            Some(Remedy::Remove),
            None,
            Some(Remedy::RestoreRef),
            Some(Remedy::ResolveAgain),
        ]);
        assert_eq!(
            on_damages(&remedies, "Push again."),
            "Push again. Restore refs that cannot be read from a copy of the store, or push again to other names. Move \
             what Floe did not write there elsewhere."
        );
    }
}

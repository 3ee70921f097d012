//! What pages call a learner: two words, so that somebody sees at a glance whose progress this is.
//!
//! It follows from the learner's id and is kept nowhere. It proves nothing, opens nothing and may occur twice.

/// `amber-otter`, from the random bits of a learner's id.
pub fn handle(id: u128) -> String {
    let pick = |shift: u32| usize::try_from((id >> shift) & 63).expect("six bits");
    format!("{}-{}", FIRST[pick(0)], SECOND[pick(6)])
}

#[rustfmt::skip]
const FIRST: [&str; 64] = [
    "able", "airy", "amber", "apt", "ardent", "azure", "balmy", "bold", "brave", "breezy", "bright",
    "brisk", "calm", "candid", "cheery", "civil", "clear", "clever", "coral", "cosy", "crisp", "curious",
    "deft", "direct", "eager", "early", "easy", "even", "fair", "fine", "firm", "fleet", "fond", "frank",
    "free", "fresh", "gentle", "glad", "golden", "grand", "green", "happy", "hardy", "hazel", "honest",
    "jolly", "keen", "kind", "lively", "lucid", "lunar", "mellow", "merry", "mild", "misty", "neat",
    "nimble", "noble", "open", "plain", "polite", "prime", "proud", "quick",
];

#[rustfmt::skip]
const SECOND: [&str; 64] = [
    "auk", "badger", "bat", "bear", "beaver", "bee", "bison", "boar", "bream", "buzzard", "carp", "cod",
    "coot", "crab", "crane", "cricket", "crow", "curlew", "deer", "dingo", "dipper", "dove", "drake",
    "dunlin", "eagle", "egret", "eider", "elk", "ermine", "falcon", "ferret", "finch", "fox", "gannet",
    "goose", "grebe", "gull", "hare", "hawk", "heron", "ibis", "jay", "kestrel", "kite", "lark", "linnet",
    "lynx", "marten", "mole", "moth", "newt", "otter", "owl", "perch", "petrel", "pike", "plover", "puffin",
    "raven", "robin", "seal", "shrew", "snipe", "stork",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_learner_keeps_a_handle_and_each_word_stands_once() {
        assert_eq!(handle(0x1234), handle(0x1234));
        assert_ne!(handle(1), handle(2));
        for words in [FIRST, SECOND] {
            let different: std::collections::BTreeSet<_> = words.into_iter().collect();
            assert_eq!(different.len(), words.len());
        }
    }
}

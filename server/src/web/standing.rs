//! How it stands with a learner's machine, in words, for a page that has no script to be told.

use super::pages::Standing;
use crate::session::view::{Place, SessionView, Stage, Wait};

/// `None`: there is no machine, and one can be started.
pub fn of(view: &SessionView) -> Option<Standing> {
    match view.phase.is {
        Stage::Waiting => Some(view.line.as_ref().map_or_else(in_some_line, in_line)),
        Stage::Starting | Stage::Preparing | Stage::Ready => Some(Standing {
            title: "Your machine runs".into(),
            text: "What you do in its terminal can be checked and kept.".into(),
            waits: false,
        }),
        Stage::Lost | Stage::Failed | Stage::Ended => None,
    }
}

fn in_some_line() -> Standing {
    Standing { title: "Every machine is taken".into(), text: "You are in line.".into(), waits: true }
}

fn in_line(place: &Place) -> Standing {
    if place.offered {
        return Standing { title: "A berth is free".into(), text: "Yours is being opened.".into(), waits: true };
    }
    let taken = match place.capacity {
        0 | 1 => "No berth is free.".into(),
        many => format!("All {many} berths are taken."),
    };
    let kept = minutes((place.kept.as_secs() / 60).try_into().unwrap_or(u32::MAX));
    Standing {
        title: format!("The quay is full.\nYou are {} in line.", nth(place.place)),
        text: format!("{taken} {} Your place is kept for {kept} from each time that you look.", opens(place.wait)),
        waits: true,
    }
}

fn opens(wait: Wait) -> String {
    match wait {
        Wait::Unknown => "When one is freed cannot be known yet.".into(),
        Wait::Within { minutes: within } => {
            format!("One opens for you within {} if nobody asks for more time.", minutes(within))
        }
        Wait::Between { from_minutes: 0, to_minutes } => format!("Yours should open within {}.", minutes(to_minutes)),
        Wait::Between { from_minutes, to_minutes } => {
            format!("Yours should open in {from_minutes} to {}.", minutes(to_minutes))
        }
    }
}

fn minutes(n: u32) -> String {
    if n == 1 { "1 minute".into() } else { format!("{n} minutes") }
}

/// 1 is next; `second`, …, `ninth`, `10th`, `21st`.
fn nth(place: u32) -> String {
    const SMALL: [&str; 10] =
        ["next", "next", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"];
    let ending = match (place % 100, place % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    SMALL.get(place as usize).map_or_else(|| format!("{place}{ending}"), |word| (*word).into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn third() -> Place {
        Place {
            place: 3,
            of: 4,
            capacity: 12,
            wait: Wait::Between { from_minutes: 4, to_minutes: 20 },
            offered: false,
            kept: Duration::from_mins(15),
            held: Duration::from_mins(1),
        }
    }

    #[test]
    fn a_place_in_line_is_said_with_what_is_known_of_the_wait() {
        let Standing { title, text, waits } = in_line(&third());
        assert_eq!(title, "The quay is full.\nYou are third in line.");
        assert_eq!(
            text,
            "All 12 berths are taken. Yours should open in 4 to 20 minutes. \
             Your place is kept for 15 minutes from each time that you look."
        );
        assert!(waits);
        let unknown = Place { wait: Wait::Unknown, capacity: 1, place: 1, ..third() };
        assert!(in_line(&unknown).title.ends_with("You are next in line."));
        assert!(in_line(&unknown).text.starts_with("No berth is free. When one is freed cannot be known yet."));
        assert_eq!(in_line(&Place { offered: true, ..third() }).title, "A berth is free");
    }

    #[test]
    fn places_are_counted_as_people_count_them() {
        let said = [2, 9, 10, 11, 12, 13, 21, 22, 23, 101, 111].map(nth);
        assert_eq!(said.join(" "), "second ninth 10th 11th 12th 13th 21st 22nd 23rd 101st 111th");
    }
}

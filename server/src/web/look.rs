//! How a browser wants pages drawn. Each taste is a cookie, so that the server draws the first frame right:
//! nothing flashes, and a browser without a script has its taste too.

/// Something that a learner may choose about the looks of every page.
#[derive(Debug, PartialEq, Eq)]
pub struct Taste {
    /// Cookie, form field, and `data-` attribute of the root element.
    pub name: &'static str,
    pub label: &'static str,
    /// A value and its word; the first is what a page has without a cookie.
    options: &'static [(&'static str, &'static str)],
}

/// In the order in which the menu shows them.
pub static TASTES: [Taste; 3] = [
    Taste { name: "theme", label: "Theme", options: &[("system", "System"), ("light", "Light"), ("dark", "Dark")] },
    Taste { name: "size", label: "Size", options: &[("normal", "Normal"), ("projector", "Projector")] },
    Taste { name: "water", label: "Terminal", options: &[("night", "Night"), ("day", "Day")] },
];

/// A taste and what was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    pub taste: &'static Taste,
    at: usize,
}

impl Choice {
    /// Reads a cookie or a form's field; `None`: there is no such taste, or no such value.
    pub fn read(name: &str, value: &str) -> Option<Self> {
        let taste = TASTES.iter().find(|taste| taste.name == name)?;
        let at = taste.options.iter().position(|(known, _)| *known == value)?;
        Some(Self { taste, at })
    }

    pub fn value(&self) -> &'static str {
        self.taste.options[self.at].0
    }

    /// What a page has without a cookie needs no attribute.
    pub fn is_usual(&self) -> bool {
        self.at == 0
    }

    /// Every value with its word, and whether it is the one chosen.
    pub fn options(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        let at = self.at;
        self.taste.options.iter().enumerate().map(move |(n, (value, word))| (*value, *word, n == at))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// One for each of [`TASTES`], in their order.
    pub choices: [Choice; 3],
    /// Where the edge between lesson and terminal lies, in per cent of the width.
    pub edge: Option<u8>,
}

impl Default for Look {
    fn default() -> Self {
        Self { choices: TASTES.each_ref().map(|taste| Choice { taste, at: 0 }), edge: None }
    }
}

impl Look {
    /// The width that the edge may leave the lesson, in per cent; the same limits as in `edge.ts`.
    const EDGE: std::ops::RangeInclusive<u8> = 25..=60;

    /// Reads the request's `Cookie` header; what does not read is left at its default.
    pub fn from_cookies(header: &str) -> Self {
        let mut look = Self::default();
        for (name, value) in header.split(';').filter_map(|pair| pair.trim().split_once('=')) {
            if name == "edge" {
                look.edge = value.parse().ok().filter(|edge| Self::EDGE.contains(edge));
            } else if let Some(choice) = Choice::read(name, value) {
                look.choose(choice);
            }
        }
        look
    }

    pub fn choose(&mut self, choice: Choice) {
        for mine in self.choices.iter_mut().filter(|mine| mine.taste.name == choice.taste.name) {
            *mine = choice;
        }
    }

    /// What the quick switch turns the theme to where no script knows what the system prefers.
    pub fn other_theme(&self) -> &'static str {
        let dark = self.choices.iter().any(|choice| (choice.taste.name, choice.value()) == ("theme", "dark"));
        if dark { "light" } else { "dark" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(look: &Look) -> Vec<&'static str> {
        look.choices.iter().map(Choice::value).collect()
    }

    #[test]
    fn cookies_choose_and_nonsense_is_ignored() {
        let look = Look::from_cookies("learner=x; theme=dark; size=projector; water=day; edge=42");
        assert_eq!((values(&look), look.edge), (vec!["dark", "projector", "day"], Some(42)));
        assert_eq!(Look::from_cookies("theme=<b>; size=; edge=99; water=night"), Look::default());
        assert_eq!(Look::from_cookies("edge=; theme"), Look::default());
    }

    #[test]
    fn what_is_usual_comes_first_and_is_chosen_without_a_cookie() {
        assert_eq!(values(&Look::default()), ["system", "normal", "night"]);
        assert!(Look::default().choices.iter().all(Choice::is_usual));
        let chosen: Vec<_> = Look::default().choices[0].options().map(|(value, _, chosen)| (value, chosen)).collect();
        assert_eq!(chosen, [("system", true), ("light", false), ("dark", false)]);
    }

    #[test]
    fn the_quick_switch_turns_to_the_other_theme() {
        assert_eq!(Look::default().other_theme(), "dark");
        assert_eq!(Look::from_cookies("theme=light").other_theme(), "dark");
        assert_eq!(Look::from_cookies("theme=dark").other_theme(), "light");
    }
}

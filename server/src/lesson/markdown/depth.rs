//! How deeply an author's HTML nests. Cleaning takes time in the square of that, so there is a limit.

use std::collections::HashMap;

/// Elements open at one place; a table in a list in a detail is about ten.
const DEPTH_MAX: usize = 200;

/// Elements that never hold others.
const VOID: [&str; 8] = ["br", "hr", "img", "input", "link", "meta", "wbr", "source"];

/// The elements that a text's HTML has opened so far and not closed.
#[derive(Default)]
pub struct Depth {
    open: HashMap<String, usize>,
    total: usize,
}

impl Depth {
    /// Counts a piece of HTML in; `false` from the place on where it nests too deeply.
    pub fn allows(&mut self, html: &str) -> bool {
        for tag in html.split('<').skip(1) {
            let (name, closes) = match tag.strip_prefix('/') {
                Some(name) => (name, true),
                None => (tag, false),
            };
            let length = name.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(name.len());
            self.count(name[..length].to_ascii_lowercase(), closes);
        }
        self.total <= DEPTH_MAX
    }

    fn count(&mut self, name: String, closes: bool) {
        if name.is_empty() || VOID.contains(&name.as_str()) {
            return;
        }
        let open = self.open.entry(name).or_default();
        match closes {
            false => (*open += 1, self.total += 1).1,
            // Closing what was never opened makes nothing shallower.
            true if *open > 0 => (*open -= 1, self.total -= 1).1,
            true => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_open_counts() {
        let mut depth = Depth::default();
        assert!(depth.allows(&"<b>x</b><br>".repeat(1000)));
        assert!(depth.allows(&"<div>".repeat(200)));
        assert!(!depth.allows("</nothing><DIV class=\"a\">"));
        assert!(depth.allows("</div>"));
    }
}

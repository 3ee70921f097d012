//! Questions: what an answer is worth, and how a question looks on a page.
//!
//! The right answers never leave the server: a page has the question, and learns from the server what the given answer
//! is worth. In a page's HTML each question's place is marked by [`place`], and [`fill`] puts it there with what this
//! learner answered.

use sha2::{Digest, Sha256};

use super::markdown::markup::escape;
use super::model::{Accepted, Answers, Choice, Piece, Quiz};

/// Letters of a typed answer; nobody is asked for a page.
pub const GIVEN_CHARS_MAX: usize = 500;

/// What somebody answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// Places of the chosen answers, ascending.
    Chosen(Vec<usize>),
    Typed(String),
}

/// What an answer is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub right: bool,
    pub words: Vec<Piece>,
}

/// A key made of a question's source, and different from those in `used`.
pub fn key(source: &str, used: &[Quiz]) -> String {
    let digest = Sha256::digest(source.as_bytes());
    let key: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    match used.iter().filter(|quiz| quiz.key.starts_with(&key)).count() {
        0 => key,
        again => format!("{key}-{}", again + 1),
    }
}

impl Given {
    /// What a form's values come to for this question; `None`: nothing that answers it.
    pub fn read(quiz: &Quiz, values: &[&str]) -> Option<Self> {
        match &quiz.answers {
            Answers::One(choices) => chosen(values.get(..1)?, choices.len()),
            Answers::Several(choices) => chosen(values, choices.len()),
            Answers::Text { .. } => {
                let typed: String = values.first()?.trim().chars().take(GIVEN_CHARS_MAX).collect();
                (!typed.is_empty()).then_some(Self::Typed(typed))
            }
        }
    }

    /// As the store keeps it.
    pub fn to_text(&self) -> String {
        match self {
            Self::Chosen(places) => places.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            Self::Typed(text) => text.clone(),
        }
    }

    /// What [`to_text`](Self::to_text) made.
    pub fn from_text(quiz: &Quiz, text: &str) -> Option<Self> {
        match &quiz.answers {
            Answers::Text { .. } => Self::read(quiz, &[text]),
            _ => Self::read(quiz, &text.split(',').collect::<Vec<_>>()),
        }
    }

    fn has(&self, place: usize) -> bool {
        matches!(self, Self::Chosen(places) if places.contains(&place))
    }
}

fn chosen(values: &[&str], choices: usize) -> Option<Given> {
    let mut places: Vec<usize> =
        values.iter().filter_map(|value| value.parse().ok()).filter(|place| *place < choices).collect();
    places.sort_unstable();
    places.dedup();
    (!places.is_empty()).then_some(Given::Chosen(places))
}

/// What `given` is worth.
pub fn judge(quiz: &Quiz, given: &Given) -> Judged {
    match (&quiz.answers, given) {
        (Answers::One(choices) | Answers::Several(choices), Given::Chosen(places)) => judge_choices(choices, places),
        (Answers::Text { accepted, otherwise }, Given::Typed(text)) => judge_text(accepted, otherwise, text),
        // An answer to another kind of question: the lesson was changed meanwhile.
        _ => Judged { right: false, words: words(NOT_IT) },
    }
}

const RIGHT: &str = "Right.";
const NOT_IT: &str = "That is not it. Try again.";
const NOT_ALL: &str = "Not all of these are right. Try again.";
const MORE: &str = "Right so far, and something is missing.";

fn judge_choices(choices: &[Choice], places: &[usize]) -> Judged {
    let wrong: Vec<&Choice> =
        places.iter().filter_map(|&place| choices.get(place)).filter(|choice| !choice.right).collect();
    if let Some(first) = wrong.first() {
        let why = wrong.iter().find(|choice| !choice.why.is_empty()).map(|choice| choice.why.clone());
        let usual = if places.len() > 1 { NOT_ALL } else { NOT_IT };
        debug_assert!(!first.right);
        return Judged { right: false, words: why.unwrap_or_else(|| words(usual)) };
    }
    let all = choices.iter().filter(|choice| choice.right).count();
    if places.len() < all {
        return Judged { right: false, words: words(MORE) };
    }
    let why = places.iter().filter_map(|&place| choices.get(place)).find(|choice| !choice.why.is_empty());
    Judged { right: true, words: right(why.map(|choice| choice.why.as_slice()).unwrap_or_default()) }
}

fn judge_text(accepted: &[Accepted], otherwise: &[Piece], text: &str) -> Judged {
    let text = text.trim();
    let fits = accepted.iter().find(|accepted| match accepted.within {
        true => text.contains(&accepted.text),
        false => text == accepted.text,
    });
    match fits {
        Some(accepted) => Judged { right: true, words: right(&accepted.why) },
        None if otherwise.is_empty() => Judged { right: false, words: words(NOT_IT) },
        None => Judged { right: false, words: otherwise.to_vec() },
    }
}

fn right(why: &[Piece]) -> Vec<Piece> {
    let mut said = words(RIGHT);
    if !why.is_empty() {
        said[0].text.push(' ');
        said.extend_from_slice(why);
    }
    said
}

fn words(text: &str) -> Vec<Piece> {
    vec![Piece { text: text.into(), code: false }]
}

/// A sentence with code between backticks, in pieces.
pub fn pieces(text: &str) -> Vec<Piece> {
    let parts = text.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    parts.map(|(number, part)| Piece { text: part.into(), code: number % 2 == 1 }).collect()
}

/// The mark of a question's place. An author's comments are taken out before it comes in.
pub fn place(number: usize) -> String {
    format!("<!--question {number}-->")
}

/// `html` with every question in its place. `page` is the page's slug; `answered` finds what was answered.
pub fn fill(html: &str, quizzes: &[Quiz], page: &str, answered: &dyn Fn(&Quiz) -> Option<Given>) -> String {
    let mut filled = html.to_owned();
    for (number, quiz) in quizzes.iter().enumerate() {
        let place = place(number);
        if filled.contains(&place) {
            filled = filled.replacen(&place, &form(quiz, page, answered(quiz).as_ref()), 1);
        }
    }
    filled
}

/// The question as a form that works by itself.
fn form(quiz: &Quiz, page: &str, given: Option<&Given>) -> String {
    let judged = given.map(|given| judge(quiz, given));
    let is = match &judged {
        None => "open",
        Some(judged) if judged.right => "right",
        Some(_) => "wrong",
    };
    let said = judged.map(|judged| said(&judged.words)).unwrap_or_default();
    let (fields, note) = match &quiz.answers {
        Answers::One(choices) => (choices_html("radio", choices, given), ""),
        Answers::Several(choices) => {
            (choices_html("checkbox", choices, given), " <small>Several may be right.</small>")
        }
        Answers::Text { .. } => (text_html(given), ""),
    };
    let (key, page) = (escape(&quiz.key), escape(page));
    format!(
        "<form class=\"quiz\" id=\"question-{key}\" method=\"post\" action=\"{page}/questions/{key}\" data-is=\"{is}\">\
         <fieldset><legend>{}{note}</legend>{fields}\
         <div class=\"quiz__foot\"><p class=\"quiz__says\" role=\"status\"><span class=\"i\" aria-hidden=\"true\"></span> <span class=\"quiz__words\">{said}</span></p>\
         <button class=\"btn btn--small\">Answer</button></div></fieldset></form>",
        quiz.question
    )
}

fn choices_html(kind: &str, choices: &[Choice], given: Option<&Given>) -> String {
    let label = |(place, choice): (usize, &Choice)| {
        let checked = if given.is_some_and(|given| given.has(place)) { " checked" } else { "" };
        format!(
            "<label><input type=\"{kind}\" name=\"answer\" value=\"{place}\"{checked}> <span>{}</span></label>",
            choice.html
        )
    };
    choices.iter().enumerate().map(label).collect()
}

fn text_html(given: Option<&Given>) -> String {
    let typed = match given {
        Some(Given::Typed(text)) => escape(text),
        _ => String::new(),
    };
    format!(
        "<label class=\"quiz__typed\"><span class=\"sr\">Your answer</span><input type=\"text\" name=\"answer\" value=\"{typed}\" \
         maxlength=\"{GIVEN_CHARS_MAX}\" autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\"></label>"
    )
}

fn said(pieces: &[Piece]) -> String {
    let html = |piece: &Piece| match piece.code {
        true => format!("<code>{}</code>", escape(&piece.text)),
        false => escape(&piece.text),
    };
    pieces.iter().map(html).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(html: &str, right: bool, why: &str) -> Choice {
        Choice { html: html.into(), right, why: pieces(why) }
    }

    fn quiz(answers: Answers) -> Quiz {
        Quiz { key: "k".into(), question: "Why?".into(), answers }
    }

    fn verdict(quiz: &Quiz, values: &[&str]) -> (bool, String) {
        let judged = judge(quiz, &Given::read(quiz, values).expect("an answer"));
        (judged.right, judged.words.iter().map(|piece| piece.text.as_str()).collect())
    }

    #[test]
    fn one_answer_is_right_and_each_says_why() {
        let quiz = quiz(Answers::One(vec![
            choice("a", false, "No: `a` is a dog."),
            choice("b", true, "It floats."),
            choice("c", false, ""),
        ]));
        assert_eq!(verdict(&quiz, &["1"]), (true, "Right. It floats.".into()));
        assert_eq!(verdict(&quiz, &["0"]), (false, "No: a is a dog.".into()));
        assert_eq!(verdict(&quiz, &["2"]), (false, NOT_IT.into()));
        assert_eq!(verdict(&quiz, &["1", "0"]), (true, "Right. It floats.".into()), "a radio button gives one value");
        assert_eq!(Given::read(&quiz, &["3"]), None);
        assert_eq!(Given::read(&quiz, &[]), None);
    }

    #[test]
    fn several_are_right_together_only() {
        let quiz = quiz(Answers::Several(vec![choice("a", true, ""), choice("b", true, ""), choice("c", false, "")]));
        assert_eq!(verdict(&quiz, &["1", "0"]), (true, RIGHT.into()));
        assert_eq!(verdict(&quiz, &["0"]), (false, MORE.into()));
        assert_eq!(verdict(&quiz, &["0", "1", "2"]), (false, NOT_ALL.into()));
    }

    #[test]
    fn a_typed_answer_is_the_whole_or_holds_what_is_asked() {
        let accepted = |text: &str, within| Accepted { text: text.into(), within, why: Vec::new() };
        let exact = quiz(Answers::Text { accepted: vec![accepted("42", false)], otherwise: pieces("Count again.") });
        assert!(verdict(&exact, &[" 42 "]).0);
        assert_eq!(verdict(&exact, &["420"]), (false, "Count again.".into()));
        let within = quiz(Answers::Text { accepted: vec![accepted("PID", true)], otherwise: Vec::new() });
        assert!(verdict(&within, &["the PID namespace"]).0);
        assert_eq!(Given::read(&within, &["  "]), None);
    }

    #[test]
    fn what_was_given_comes_back_from_its_text() {
        let several = quiz(Answers::Several(vec![choice("a", true, ""), choice("b", true, "")]));
        let given = Given::read(&several, &["1", "0", "1"]).expect("an answer");
        assert_eq!(Given::from_text(&several, &given.to_text()), Some(given));
    }

    #[test]
    fn a_question_shows_nothing_of_what_is_right_before_it_is_answered() {
        let quiz = quiz(Answers::One(vec![choice("a", false, "secret one"), choice("b", true, "secret two")]));
        let html = fill(&format!("<p>x</p>{}", place(0)), std::slice::from_ref(&quiz), "1", &|_| None);
        assert!(html.contains("data-is=\"open\"") && html.contains("action=\"1/questions/k\""), "{html}");
        assert!(!html.contains("secret") && !html.contains("checked") && !html.contains("right"), "{html}");
        let wrong = fill(&place(0), std::slice::from_ref(&quiz), "1", &|_| Some(Given::Chosen(vec![0])));
        assert!(
            wrong.contains("data-is=\"wrong\"") && wrong.contains("secret one") && !wrong.contains("secret two"),
            "{wrong}"
        );
    }

    #[test]
    fn a_typed_answer_stays_text() {
        let quiz = quiz(Answers::Text { accepted: Vec::new(), otherwise: Vec::new() });
        let html = fill(&place(0), &[quiz], "1", &|_| Some(Given::Typed("\"><script>".into())));
        assert!(html.contains("value=\"&quot;&gt;&lt;script&gt;\""), "{html}");
    }
}

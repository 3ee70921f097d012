//! Questions as their author wrote them, to questions as they are asked.

use super::fences::{Mark, RawAnswer, RawQuiz};
use super::{Page, clean, markup};
use crate::lesson::model::{Accepted, Answers, Choice, Quiz};
use crate::lesson::quiz;

/// Questions of one page.
const QUIZZES_MAX: usize = 100;

impl Page<'_> {
    /// The mark of the question's place; a question that cannot be answered is a text.
    pub(super) fn quiz(&mut self, raw: &RawQuiz) -> String {
        let question = clean::line(&raw.question);
        let number = self.setting.first_quiz + self.rendered.quizzes.len();
        if raw.answers.is_empty() || number >= QUIZZES_MAX {
            let (message, hint) = match raw.answers.is_empty() {
                true => (
                    "this question has no answers".to_owned(),
                    Some("write `(*) right` and `( ) wrong` below it".into()),
                ),
                false => (format!("more than {QUIZZES_MAX} questions on one page: this one is only shown"), None),
            };
            self.warn((raw.line, 1), message, hint);
            let answers: String =
                raw.answers.iter().map(|answer| format!("<li>{}</li>", markup::escape(&answer.text))).collect();
            return format!(
                "<p>{question}</p>{}",
                if answers.is_empty() { answers } else { format!("<ul>{answers}</ul>") }
            );
        }
        let key = quiz::key(&raw.source, &self.rendered.quizzes);
        let answers = self.answers(raw);
        self.rendered.quizzes.push(Quiz { key, question, answers });
        quiz::place(number)
    }

    fn answers(&mut self, raw: &RawQuiz) -> Answers {
        let is_typed = |answer: &&RawAnswer| matches!(answer.mark, Mark::Exact | Mark::Within);
        let typed: Vec<&RawAnswer> = raw.answers.iter().filter(is_typed).collect();
        let choices: Vec<&RawAnswer> = raw.answers.iter().filter(|answer| !is_typed(answer)).collect();
        match (choices.first(), typed.first()) {
            (Some(_), Some(odd)) => {
                self.warn((odd.line, 1), "an answer to type among answers to choose: it is left out".into(), None);
            }
            (None, Some(_)) => {
                let accepted = typed.iter().map(|answer| Accepted {
                    text: answer.text.clone(),
                    within: answer.mark == Mark::Within,
                    why: why(answer),
                });
                return Answers::Text {
                    accepted: accepted.collect(),
                    otherwise: raw.otherwise.as_deref().map(quiz::pieces).unwrap_or_default(),
                };
            }
            _ => {}
        }
        self.choices(raw, &choices)
    }

    fn choices(&mut self, raw: &RawQuiz, written: &[&RawAnswer]) -> Answers {
        let choices: Vec<Choice> = written
            .iter()
            .map(|answer| Choice {
                html: clean::line(&answer.text),
                right: matches!(answer.mark, Mark::One { right: true } | Mark::Several { right: true }),
                why: match &raw.otherwise {
                    Some(otherwise) if answer.why.is_none() && !is_right(answer) => quiz::pieces(otherwise),
                    _ => why(answer),
                },
            })
            .collect();
        let right = choices.iter().filter(|choice| choice.right).count();
        let several = written.iter().any(|answer| matches!(answer.mark, Mark::Several { .. }));
        if right == 0 {
            self.warn((raw.line, 1), "no answer to this question is right".into(), Some("mark one by `(*)`".into()));
        }
        if right > 1 && !several {
            let hint = Some("write `[*]` and `[ ]` where several are right".into());
            self.warn((raw.line, 1), format!("{right} answers are right where one can be chosen: several can"), hint);
        }
        if several || right > 1 { Answers::Several(choices) } else { Answers::One(choices) }
    }
}

fn is_right(answer: &RawAnswer) -> bool {
    matches!(answer.mark, Mark::One { right: true } | Mark::Several { right: true })
}

fn why(answer: &RawAnswer) -> Vec<crate::lesson::model::Piece> {
    answer.why.as_deref().map(quiz::pieces).unwrap_or_default()
}

//! The pages: plain data in, HTML out.
//!
//! A view holds what its template in `web/templates/` shows, as strings and lists, and knows nothing of
//! where they came from. Links to other pages of a lesson are relative, links to the rest start with
//! [`Frame::base`].

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::assets;
use super::look::Look;

mod marks;
mod broken;
mod catalogue;
mod workspace;
pub mod learner;

pub use broken::{BrokenView, DiagnosticView, LevelView, Plays};
pub use catalogue::{AsideView, BackView, CatalogueView, CourseView, LessonRow, LessonState, ResumeView};
pub use marks::{FlagState, FlagView, FlagsView, MARKS, Mark};
pub use workspace::{AfterView, LackView, PageLink, PageView, Standing, StepView, WorkspaceView};

/// Renders a view as the answer to a request; the headers of [`content_security_policy`] come on top.
pub fn page(status: StatusCode, view: &impl Template) -> Response {
    let html = view.render().expect("a template over plain strings cannot fail to write to a string");
    (status, Html(html)).into_response()
}

/// What a page with this nonce may load and do. xterm.js sets styles through the CSSOM, which no
/// directive forbids, and makes `<style>` elements, to which `terminal.ts` gives the nonce; a chunk that
/// a script imports inherits the nonce of that script.
pub fn content_security_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src-elem 'self' 'nonce-{nonce}'; style-src-attr 'none'; \
         img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-ancestors 'none'; form-action 'self'; \
         base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

/// What every page needs to know about its surroundings.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Where the service is mounted, with a slash at both ends: `/`, `/quayside/`.
    pub base: String,
    /// New for every answer, the same as in its content security policy.
    pub nonce: String,
    pub look: Look,
}

impl Frame {
    /// The address of an asset by its plain name.
    fn asset(&self, name: &str) -> String {
        format!("{}{}", self.base, assets::path(name))
    }

    /// The addresses of the chunks that a script imports at once.
    fn chunks(&self, name: &str) -> Vec<String> {
        assets::imports(name).iter().map(|path| format!("{}{path}", self.base)).collect()
    }
}

/// Anything else that went wrong: not found, not allowed, our fault.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorView {
    pub frame: Frame,
    /// `404`
    pub status: u16,
    /// `There is no such lesson`
    pub title: String,
    /// What happened and what to do, in a sentence or two.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn frame() -> Frame {
        Frame { base: "/quay/".into(), nonce: "n0nce".into(), look: Look::default() }
    }
}

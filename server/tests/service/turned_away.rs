//! Who is turned away, and how.

use tokio_tungstenite::tungstenite;

use crate::harness::{Client, Installation};
use crate::path;

#[tokio::test(flavor = "multi_thread")]
async fn only_our_own_pages_may_change_anything() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let ours = learner.origin();
    let form = ("content-type", "application/x-www-form-urlencoded");
    for headers in [
        vec![form],
        vec![form, ("origin", "http://evil.example")],
        vec![form, ("origin", "null")],
        vec![form, ("origin", &ours), ("sec-fetch-site", "cross-site")],
    ] {
        let answer = learner.send("POST", "/harbour/first/start", &headers, "page=intro").await;
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    assert_eq!(installation.keeper.launched(), 0);
    assert!(learner.cookie().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_from_elsewhere_is_refused_before_it_opens() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let ours = learner.origin();
    let protocol = ("sec-websocket-protocol", "quayside.2");
    let refused = async |client: &Client, headers: &[(&'static str, &str)], status: u16| {
        for path in [path(&id, 1), format!("/api/sessions/{id}/live")] {
            match client.websocket_with(&path, headers).await {
                Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), status, "{path} {headers:?}"),
                Err(other) => panic!("{other}"),
                Ok(_) => panic!("{path} let in with {headers:?}"),
            }
        }
    };
    refused(&learner, &[protocol], 403).await;
    refused(&learner, &[protocol, ("origin", "http://evil.example")], 403).await;
    refused(&learner, &[("origin", &ours)], 400).await;
    refused(&learner, &[("origin", &ours), ("sec-websocket-protocol", "another.2")], 400).await;
    let stranger = installation.client();
    refused(&stranger, &[("origin", &ours), protocol], 404).await;
    stranger.start().await;
    refused(&stranger, &[("origin", &ours), protocol], 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_version_is_told_to_reload() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let ours = learner.origin();
    for version in ["quayside.1", "quayside.99"] {
        for path in [path(&id, 1), format!("/api/sessions/{id}/live")] {
            let headers = [("origin", ours.as_str()), ("sec-websocket-protocol", version)];
            let mut socket = learner.websocket_with(&path, &headers).await.expect("it is let in, to be told");
            let close = socket.closed().await.expect("a reason");
            assert_eq!(u16::from(close.code), 4426, "{version} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_session_is_as_unknown_as_none() {
    let installation = Installation::start().await;
    let (one, two) = (installation.client(), installation.client());
    let id = one.start_until("ready").await;
    two.start().await;
    let unknown = "018f0000-0000-7000-8000-000000000000";
    let mut answers = Vec::new();
    for id in [id.as_str(), unknown, "not-an-id"] {
        let session = format!("/api/sessions/{id}");
        answers.push(two.get(&session).await);
        for path in ["leave", "pages/1/enter", "steps/1/check", "steps/1/check/stop"] {
            answers.push(two.post(&format!("{session}/{path}"), "").await);
        }
    }
    let first = &answers[0];
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (404, &first.body));
    }
    assert_eq!(one.session(&id).await["phase"]["is"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_ours_is_not_answered() {
    let installation = Installation::start().await;
    let client = installation.client();
    for (host, status) in [
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("learn.example.org", 200),
        ("localhost:1", 200),
        ("", 400),
    ] {
        let answer = client.send("GET", "/", &[("host", host)], "").await;
        assert!(answer.status == status || (host.is_empty() && answer.status == 421), "{host}: {}", answer.status);
    }
    let page = client.send("GET", "/", &[("host", "evil.example")], "").await;
    assert!(page.body.contains("web.hosts"), "it says what to do: {}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_come_from_the_lesson_and_nothing_else_does() {
    let installation = Installation::start().await;
    std::fs::write(installation.dir.path().join("outside.png"), "outside").expect("written");
    let lesson = installation.dir.path().join("lessons/harbour/first");
    std::os::unix::fs::symlink("../../../outside.png", lesson.join("link.png")).expect("a link");
    let client = installation.client();
    let page = client.get("/harbour/first/intro").await.body;
    let at = page.find("file/").unwrap_or_else(|| panic!("no picture in {page}"));
    let source = &page[at..at + page[at..].find('"').expect("a quote")];
    let picture = client.get(&format!("/harbour/first/{source}")).await;
    assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/png")));
    assert!(picture.header("content-security-policy").expect("a policy").contains("sandbox"));
    assert_eq!(picture.header("x-content-type-options"), Some("nosniff"));
    for path in [
        "secret.txt",
        "link.png",
        "first/link.png",
        "../../outside.png",
        "..%2f..%2foutside.png",
        "%2e%2e/%2e%2e/outside.png",
        "/etc/passwd",
        "%2fetc%2fpasswd.png",
        "first/index.json",
        "nothing.png",
        "a%00.png",
        "",
    ] {
        let answer = client.get(&format!("/harbour/first/file/{path}")).await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.body.contains("outside"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_in_the_form_that_was_asked_for() {
    let installation = Installation::start().await;
    let client = installation.client();
    for (path, status) in [
        ("/nothing", 404),
        ("/harbour/nothing", 404),
        ("/harbour/first/nothing", 404),
        ("/harbour/first/4", 404),
        ("/harbour/first/start", 405),
        ("/look", 405),
        ("/assets/nothing.js", 404),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{path}");
        assert!(answer.body.contains("All lessons"), "{path}");
    }
    let answer = client.get("/api/nothing").await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &"not-found".into()));
    let origin = client.origin();
    let answer = client.send("DELETE", "/harbour/first/intro", &[("origin", &origin)], "").await;
    assert_eq!(answer.status, 405);
    let form = [("origin", origin.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let answer = client.send("POST", "/look", &form, &"x".repeat(20_000)).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_its_protections_and_every_page_its_own_nonce() {
    let installation = Installation::start().await;
    let client = installation.client();
    let mut nonces = Vec::new();
    for path in ["/", "/harbour/first/intro", "/harbour/broken", "/nothing"] {
        let answer = client.get(path).await;
        let policy = answer.header("content-security-policy").expect("a policy");
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
        assert!(answer.body.contains(nonce), "{path}: the page uses the nonce");
        nonces.push(nonce.to_owned());
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(answer.header("x-request-id").is_some(), "{path}");
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 4);
}

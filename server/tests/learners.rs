//! Learners without accounts, as browsers meet them: two tabs, two devices, a code from one to the other, being
//! forgotten, and everybody who would rather be somebody else.

#[allow(dead_code, reason = "other suites use the rest of it")]
mod harness;

use harness::{Client, Installation, eventually};

const VIEWER: u128 = 7;

/// What stands between two pieces of a page.
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let from = page.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {page}")).1;
    from.split_once(after).unwrap_or_else(|| panic!("no {after:?} in {from}")).0
}

/// Makes a code, and reads it from the page.
async fn make_code(learner: &Client) -> String {
    let answer = learner.post("/elsewhere/code", "").await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{}", answer.body);
    between(&answer.body, "data-copy=\"", "\"").to_owned()
}

async fn look_up(client: &Client, code: &str) -> harness::client::Answer {
    client.post("/resume", &format!("code={code}")).await
}

async fn redeem(client: &Client, code: &str) -> harness::client::Answer {
    client.post("/resume/confirm", &format!("code={code}")).await
}

async fn handle_of(learner: &Client) -> String {
    let page = learner.get("/elsewhere").await.body;
    between(&page, "You are <strong>", "</strong>").to_owned()
}

/// Does step 1 of the first lesson.
async fn pass_step_1(installation: &Installation, learner: &Client, id: &str) {
    let home = installation.keeper.only_root().join("root");
    std::fs::write(home.join("flag"), "").expect("written");
    assert_eq!(learner.post(&format!("/api/sessions/{id}/steps/1/check"), "").await.json()["is"], "passed");
}

// Two tabs.

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_have_one_machine_and_hear_of_each_others_checks_and_leaving() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    assert_eq!(learner.start().await["id"], id.as_str(), "the second tab finds the first one's machine");
    let live = format!("/api/sessions/{id}/live");
    let mut one = learner.websocket(&live).await.expect("a WebSocket");
    let mut two = learner.websocket(&live).await.expect("a WebSocket");
    let mut shell = learner.terminal(&id, 1, VIEWER, 0).await;
    let mut same = learner.terminal(&id, 1, VIEWER + 1, 0).await;
    shell.keys(b"echo both-$((1+1)); touch flag\n").await;
    shell.shows("both-2").await;
    same.shows("both-2").await;
    same.keys(b"echo from-the-other-$((1+1))\n").await;
    shell.shows("from-the-other-2").await;

    assert_eq!(learner.post(&format!("/api/sessions/{id}/pages/2/enter"), "").await.status, 204);
    assert_eq!(learner.post(&format!("/api/sessions/{id}/pages/1/enter"), "").await.status, 204);
    assert_eq!(learner.get("/harbour/first/2").await.status, 200, "a page that is read stays where it is");
    assert_eq!(learner.post(&format!("/api/sessions/{id}/steps/1/check"), "").await.json()["is"], "passed");
    for tab in [&mut one, &mut two] {
        tab.live_until("type", "passed").await;
    }
    assert_eq!(learner.post(&format!("/api/sessions/{id}/leave"), "").await.status, 204);
    for tab in [&mut one, &mut two] {
        tab.live_until("is", "ended").await;
    }
}

// Another device.

#[tokio::test(flavor = "multi_thread")]
async fn a_code_brings_progress_and_the_living_machine_with_its_screen_to_another_browser() {
    let installation = Installation::start().await;
    let (school, home) = (installation.client(), installation.client());
    let id = school.start_until("ready").await;
    pass_step_1(&installation, &school, &id).await;
    let mut shell = school.terminal(&id, 1, VIEWER, 0).await;
    shell.keys(b"echo at-school-$((1+1))\n").await;
    shell.shows("at-school-2").await;

    let code = make_code(&school).await;
    let asked = look_up(&home, &code.to_lowercase().replace('-', "+")).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    assert!(
        asked.body.contains(&handle_of(&school).await) && asked.body.contains("1 machine running"),
        "{}",
        asked.body
    );
    assert!(home.cookie().is_none(), "looking changes nothing");
    let answer = redeem(&home, &code).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{}", answer.body);

    assert_ne!(home.cookie(), school.cookie());
    assert_eq!(home.start().await["id"], id.as_str());
    let mut same = home.terminal(&id, 1, VIEWER + 1, 0).await;
    same.shows("at-school-2").await;
    same.keys(b"echo at-home-$((1+1))\n").await;
    shell.shows("at-home-2").await;
    let catalogue = home.get("/").await.body;
    assert!(catalogue.contains("1 of 2 passed") && catalogue.contains("still running"), "{catalogue}");
    let devices = school.get("/elsewhere").await.body;
    assert_eq!(devices.matches("Take off</button>").count(), 1, "{devices}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_worked_apart_become_one_and_both_machines_stay_in_reach() {
    let installation = Installation::start().await;
    let (one, two) = (installation.client(), installation.client());
    let first = one.start_until("ready").await;
    let second = two.start_until("ready").await;
    let mut shell = two.terminal(&second, 1, VIEWER, 0).await;
    shell.keys(b"echo second-$((1+1))\n").await;
    shell.shows("second-2").await;
    let before = two.cookie().expect("a cookie");
    let code = make_code(&one).await;
    assert!(look_up(&two, &code).await.body.contains("is added to it"));
    assert_eq!(redeem(&two, &code).await.status, 303);
    assert!(shell.closed().await.is_none(), "what the old cookie had opened is closed");

    assert_eq!(two.start().await["id"], first.as_str(), "the code's own machine is in front");
    for client in [&one, &two] {
        assert_eq!(client.session(&second).await["phase"]["is"], "ready");
        assert!(client.get("/").await.body.contains("Also running"));
    }
    let mut again = one.terminal(&second, 1, VIEWER + 1, 0).await;
    again.shows("second-2").await;
    let answer = two.post(&format!("/api/sessions/{second}/front"), "").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/harbour/first/intro")));
    assert_eq!(one.start().await["id"], second.as_str());
    assert_eq!(installation.keeper.launched(), 2);

    let old = [("cookie", before.as_str())];
    let old = installation.client().send("GET", &format!("/api/sessions/{second}"), &old, "").await;
    assert_eq!(old.status, 404, "who knew the old cookie has nothing of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_taken_off_loses_its_terminals_at_once() {
    let installation = Installation::start().await;
    let (owner, thief) = (installation.client(), installation.client());
    let id = owner.start_until("ready").await;
    let code = make_code(&owner).await;
    redeem(&thief, &code).await;
    let mut shell = thief.terminal(&id, 1, VIEWER, 0).await;
    shell.shows("fore-42").await;
    let mut live = thief.websocket(&format!("/api/sessions/{id}/live")).await.expect("a WebSocket");
    live.live().await;
    let page = owner.get("/elsewhere").await.body;
    let device = between(&page, "elsewhere/devices/", "/remove").to_owned();
    let stranger = installation.client();
    stranger.start_until("ready").await;
    stranger.post(&format!("/elsewhere/devices/{device}/remove"), "").await;
    assert_eq!(thief.session(&id).await["id"], id.as_str(), "a stranger takes nothing off");
    assert_eq!(owner.post(&format!("/elsewhere/devices/{device}/remove"), "").await.status, 303);
    assert!(shell.closed().await.is_none() && live.closed().await.is_none());
    assert_eq!(thief.get(&format!("/api/sessions/{id}")).await.status, 404);
    assert_eq!(owner.session(&id).await["phase"]["is"], "ready");
}

// Codes that are none.

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_brings_nobody_says_why_in_words() {
    let installation = Installation::start().await;
    let (learner, other) = (installation.client(), installation.client());
    learner.start_until("ready").await;
    let says = async |client: &Client, code: &str, status: u16, words: &str| {
        for answer in [look_up(client, code).await, redeem(client, code).await] {
            assert_eq!(answer.status, status, "{code}: {}", answer.body);
            assert!(answer.body.contains(words), "{code}: {}", answer.body);
            assert!(answer.header("set-cookie").is_none());
        }
    };
    says(&other, "", 422, "There is no code yet").await;
    says(&other, "K7QM4", 422, "This has 5").await;
    says(&other, "K7QM4-XWD92-TF8H%3C", 422, "is neither").await;
    says(&other, "00000-00000-00000", 410, "Nobody has this code").await;
    let first = make_code(&learner).await;
    let typo = format!("{}{}", if first.starts_with('2') { "3" } else { "2" }, &first[1..]);
    says(&other, &typo, 422, "There is a typo in it").await;
    assert!(look_up(&learner, &first).await.body.contains("You are here already"));
    let second = make_code(&learner).await;
    says(&other, &first, 410, "There is a newer code").await;
    assert_eq!(redeem(&other, &second).await.status, 303);
    says(&installation.client(), &second, 410, "This code was used already").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_are_held_up_and_typos_and_good_codes_are_not() {
    let installation = Installation::start().await;
    let (learner, guesser) = (installation.client(), installation.client());
    learner.start_until("ready").await;
    let code = make_code(&learner).await;
    for _ in 0..40 {
        assert_eq!(look_up(&guesser, "K7QM4-XWD92-TF8HH").await.status, 422, "a typo is no guess");
        assert_eq!(look_up(&guesser, &code).await.status, 200, "a code of ours is none");
    }
    let mut tried = 0;
    let held_up = loop {
        let answer = look_up(&guesser, "00000-00000-00000").await;
        if answer.status != 410 {
            break answer;
        }
        tried += 1;
        assert!(tried < 100, "nobody holds it up");
    };
    assert!(tried >= 20, "only {tried}");
    assert_eq!(held_up.status, 429);
    assert!(held_up.header("retry-after").is_some());
    assert!(held_up.body.contains("Try again in") && held_up.body.contains("00000-00000-00000"), "{}", held_up.body);
    assert_eq!(redeem(&guesser, &code).await.status, 429, "who guesses right then learns nothing either");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_race_with_one_code_get_one_device() {
    let installation = Installation::start().await;
    let learner = installation.client();
    learner.start_until("ready").await;
    let code = make_code(&learner).await;
    let racers: Vec<Client> = (0..6).map(|_| installation.client()).collect();
    let answers = futures_util::future::join_all(racers.iter().map(|racer| redeem(racer, &code))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 410, 410, 410, 410, 410]);
    assert_eq!(racers.iter().filter(|racer| racer.cookie().is_some()).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_is_given_again_to_the_page_that_asked_and_to_no_other() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    let code = make_code(&learner).await;
    let (home, classmate) = (installation.client(), installation.client());
    let page = look_up(&home, &code).await.body;
    let form = format!("code={code}&ticket={}", between(&page, "name=\"ticket\" value=\"", "\""));
    let looked_too = look_up(&classmate, &code).await.body;
    // The first answer never arrives at home: somebody else of no memory stands for its browser.
    assert_eq!(installation.client().post("/resume/confirm", &form).await.status, 303);
    assert_eq!(home.cookie(), None);
    assert_eq!(home.post("/resume/confirm", &form).await.status, 303);
    assert_eq!(handle_of(&home).await, handle_of(&learner).await);
    assert_eq!(home.get(&format!("/api/sessions/{id}")).await.status, 200);
    let theirs = format!("code={code}&ticket={}", between(&looked_too, "name=\"ticket\" value=\"", "\""));
    for form in [theirs, format!("code={code}"), format!("code={code}&ticket={}", "0".repeat(64))] {
        assert_eq!(classmate.post("/resume/confirm", &form).await.status, 410, "{form}");
    }
    assert_eq!(classmate.cookie(), None);
}

// Being forgotten.

#[tokio::test(flavor = "multi_thread")]
async fn who_is_forgotten_leaves_no_machine_no_progress_and_no_cookie() {
    let installation = Installation::start().await;
    let (learner, phone) = (installation.client(), installation.client());
    let id = learner.start_until("ready").await;
    pass_step_1(&installation, &learner, &id).await;
    let code = make_code(&learner).await;
    redeem(&phone, &code).await;
    let code = make_code(&learner).await;
    let asked = learner.get("/forget").await;
    assert!(asked.body.contains("It cannot be undone") && asked.body.contains("1 machine running"), "{}", asked.body);
    assert_eq!(installation.keeper.running(), 1, "asking forgets nothing");
    let before = learner.cookie().expect("a cookie");
    let answer = learner.post("/forget", "").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    assert!(answer.header("set-cookie").expect("it is taken back").contains("Max-Age=0"));
    eventually("the machine is gone", async || installation.keeper.running() == 0).await;
    for cookie in [before, phone.cookie().expect("a cookie")] {
        let asked = installation.client();
        let catalogue = asked.send("GET", "/", &[("cookie", &cookie)], "").await.body;
        assert!(catalogue.contains("See what a container really is") && !catalogue.contains("passed"), "{catalogue}");
    }
    assert_eq!(look_up(&installation.client(), &code).await.status, 410);
    assert_eq!(learner.post("/forget", "").await.status, 303, "twice is as good");
    assert_ne!(learner.start().await["id"], id.as_str());
}

// Progress.

#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_stays_passed_in_the_next_machine_and_in_a_lesson_that_was_changed() {
    let mut installation = Installation::start().await;
    let learner = installation.client();
    let id = learner.start_until("ready").await;
    pass_step_1(&installation, &learner, &id).await;
    learner.post(&format!("/api/sessions/{id}/leave"), "").await;
    assert!(learner.get("/").await.body.contains("1 of 2 passed"));
    learner.start_until("ready").await;
    let page = learner.get("/harbour/first/1").await.body;
    assert!(page.contains("aria-label=\"Step 1, passed\""), "{page}");
    assert!(installation.client().get("/harbour/first/1").await.body.contains("aria-label=\"Step 1\""));

    // A step is put before it, and it gets another number.
    let lesson = installation.config.lessons_dir.join("harbour/first");
    let index = std::fs::read_to_string(lesson.join("index.json")).expect("a file");
    let first = r#"{ "title": "One""#;
    assert!(index.contains(first));
    let more = format!(r#"{{ "title": "Before", "text": "two.md", "verify": "before.sh" }}, {first}"#);
    std::fs::write(lesson.join("index.json"), index.replace(first, &more)).expect("written");
    std::fs::write(lesson.join("before.sh"), "exit 1\n").expect("written");
    installation.stop_web().await;
    installation.start_web().await;
    assert!(learner.get("/").await.body.contains("1 of 3 passed"));
    let page = learner.get("/harbour/first/1").await.body;
    assert!(page.contains("aria-label=\"Step 1\"") && page.contains("aria-label=\"Step 2, passed\""), "{page}");
}

// Who would rather be somebody else.

/// The status of the answer to these bytes; `None`: the server cut them off.
async fn status_of(client: &Client, request: &str) -> Option<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = client.origin().replace("http://", "");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let _ = stream.write_all(request.as_bytes()).await;
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(harness::PATIENCE, stream.read_to_end(&mut bytes)).await.expect("an end in time");
    String::from_utf8_lossy(&bytes).split(' ').nth(1).map(String::from)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_that_is_none_of_ours_is_nobody_and_never_taken_over() {
    let installation = Installation::start().await;
    let planted = format!("learner={}", "ab".repeat(32));
    let victim = installation.client();
    let origin = victim.origin();
    let headers = [
        ("cookie", planted.as_str()),
        ("origin", origin.as_str()),
        ("accept", "application/json"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let answer = victim.send("POST", "/harbour/first/start", &headers, "page=intro").await;
    assert_eq!(answer.status, 200);
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert_ne!(victim.cookie().as_deref(), Some(planted.as_str()), "a secret is made here, never taken");
    let attacker = installation.client();
    let answer = attacker.send("GET", &format!("/api/sessions/{id}"), &[("cookie", &planted)], "").await;
    assert_eq!(answer.status, 404);

    for cookie in ["learner=".to_owned(), format!("learner={}", "z".repeat(64)), "learner=%00; ;;=;learner".into()] {
        let answer = attacker.send("GET", "/", &[("cookie", &cookie)], "").await;
        assert_eq!(answer.status, 200, "{cookie}");
        assert!(answer.body.contains("See what a container really is"));
    }
    let many: Vec<String> = (0..100).map(|number| format!("learner={number:064x}")).collect();
    assert_eq!(attacker.send("GET", "/", &[("cookie", &many.join("; "))], "").await.status, 200);
    let huge = format!("learner={}", "a".repeat(1024 * 1024));
    let status = status_of(&attacker, &format!("GET / HTTP/1.1\r\nhost: localhost\r\ncookie: {huge}\r\n\r\n")).await;
    assert!(status.as_deref().is_none_or(|status| status == "431"), "{status:?}");
    assert_eq!(attacker.get("/health/live").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_cookie_that_another_host_planted_opens_nothing() {
    let installation = Installation::start().await;
    let (attacker, victim) = (installation.client(), installation.client());
    attacker.start_until("ready").await;
    victim.start_until("ready").await;
    let (theirs, ours) = (attacker.cookie().expect("a cookie"), victim.cookie().expect("a cookie"));
    let asking = installation.client();
    for both in [format!("{theirs}; {ours}"), format!("{ours}; {theirs}")] {
        let answer = asking.send("GET", "/elsewhere", &[("cookie", &both)], "").await;
        assert_eq!(answer.status, 409);
        assert!(answer.body.contains("two learners at once"), "{}", answer.body);
    }
    let unknown = format!("learner={}; {ours}", "cd".repeat(32));
    let answer = asking.send("GET", "/elsewhere", &[("cookie", &unknown)], "").await;
    assert!(answer.body.contains(&handle_of(&victim).await), "one that nobody has does no harm");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_machine_device_and_code_are_out_of_reach() {
    let installation = Installation::start().await;
    let (learner, stranger) = (installation.client(), installation.client());
    let id = learner.start_until("ready").await;
    stranger.start_until("ready").await;
    for path in ["front", "leave", "pages/1/enter", "steps/1/check"] {
        assert_eq!(stranger.post(&format!("/api/sessions/{id}/{path}"), "").await.status, 404, "{path}");
    }
    for made_up in ["", "x", "00000000-0000-7000-8000-000000000000", "../../health/live", &id[..35]] {
        let answer = stranger.post(&format!("/api/sessions/{made_up}/front"), "").await;
        assert_eq!(answer.status, 404, "{made_up:?}");
    }
    let nobody = installation.client();
    assert_eq!(nobody.post("/elsewhere/code", "").await.status, 409);
    assert_eq!(nobody.get("/elsewhere").await.status, 200);
    let origin = "http://evil.example";
    for path in ["/elsewhere/code", "/resume", "/resume/confirm", "/forget", &format!("/api/sessions/{id}/front")] {
        let answer = learner.send("POST", path, &[("origin", origin)], "code=00000-00000-00000").await;
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(nobody.send("GET", path, &[], "").await.header("set-cookie"), None);
    }
    assert_eq!(learner.session(&id).await["phase"]["is"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_stands_in_no_address_and_a_phone_is_given_one_only_where_it_can_reach_us() {
    let installation = Installation::start().await;
    let learner = installation.client();
    learner.start_until("ready").await;
    let code = make_code(&learner).await;
    let asked = look_up(&installation.client(), &code).await;
    assert!(!asked.body.contains("href=\"/resume?") && asked.header("location").is_none());
    assert_eq!(asked.header("cache-control"), Some("no-store"));
    let page = learner.post("/elsewhere/code", "").await.body;
    assert!(!page.contains("<svg viewBox=\"0 0 4"), "a phone has another 127.0.0.1");
    let (host, origin) = ("learn.example.org", "http://learn.example.org");
    let page = learner.send("POST", "/elsewhere/code", &[("host", host), ("origin", origin)], "").await.body;
    assert!(page.contains("a phone’s camera") && page.contains("learn.example.org/resume"), "{page}");
    let answer = learner.get("/elsewhere/code").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/elsewhere")));
}

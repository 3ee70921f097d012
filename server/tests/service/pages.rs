//! Pages: the catalogue, the look, a base path.

use crate::harness::Installation;

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_shows_every_lesson_what_is_broken_and_where_the_learner_is() {
    let installation = Installation::start().await;
    let learner = installation.client();
    let before = learner.get("/").await;
    assert_eq!(before.status, 200);
    for text in ["Harbour", "The first lesson", "harbour/broken", "Needs a cluster"] {
        assert!(before.body.contains(text), "{text}: {}", before.body);
    }
    let broken = learner.get("/harbour/broken").await;
    assert!(broken.body.contains("index.json"), "{}", broken.body);
    let answer = learner.post("/harbour/cluster/start", "").await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (409, &"unplayable".into()));

    let id = learner.start_until("ready").await;
    learner.post(&format!("/api/sessions/{id}/pages/2/enter"), "").await;
    assert!(learner.get("/").await.body.contains("step 2 of 3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_is_kept_and_leads_back_to_our_own_pages_only() {
    let installation = Installation::start().await;
    let client = installation.client();
    let origin = client.origin();
    let post = async |referer: &str, look: &str| {
        let headers =
            [("origin", origin.as_str()), ("referer", referer), ("content-type", "application/x-www-form-urlencoded")];
        installation.client().send("POST", "/look", &headers, look).await
    };
    let here = format!("{origin}/harbour/first/2");
    let answer = post(&here, "theme=dark").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/harbour/first/2")));
    assert!(answer.header("set-cookie").expect("a cookie").starts_with("theme=dark; Path=/;"));
    assert_eq!(post("http://evil.example/x", "theme=dark").await.header("location"), Some("/"));
    let answer = post(&here, "size=projector").await;
    assert!(answer.header("set-cookie").expect("a cookie").starts_with("size=projector; Path=/;"));
    for nonsense in ["theme=pink", "learner=dark", "theme=dark&water=dark"] {
        let answer = post(&here, nonsense).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (400, None), "{nonsense}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_base_path_everything_works_the_same() {
    let mut installation = Installation::without_web(|config| config.base_path = "/learn".parse().expect("a path"));
    installation.start_web_at("/learn").await;
    let learner = installation.client();
    for path in ["/learn/", "/learn/harbour/first/intro"] {
        let page = learner.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.body.contains("href=\"/assets"), "{path}: every link is below the base");
    }
    assert_eq!(learner.get("/harbour/first/intro").await.status, 404);
    let answer = learner.get("/learn/harbour/first").await;
    assert_eq!(answer.header("location"), Some("/learn/harbour/first/intro"));
    let session = learner.post("/learn/harbour/first/start", "page=intro").await.json();
    let id = session["id"].as_str().expect("an id");
    let mut live = learner.websocket(&format!("/learn/api/sessions/{id}/live")).await.expect("a WebSocket");
    live.live_until("is", "ready").await;
}

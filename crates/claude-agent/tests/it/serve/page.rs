//! The web page's login, as a browser would do it.

use serde_json::json;

use super::Daemon;
use crate::support::{Machine, Simulator};

#[test]
fn a_browser_logs_in_and_no_foreign_page_uses_its_cookie() {
    let (machine, simulator) = (Machine::new(), Simulator::start(&[]));
    let daemon = Daemon::start(&machine, &simulator);
    let page = daemon.stranger("GET", "/").send(daemon.connect()).expect(200);
    assert!(page.text().contains("/ui/app.js"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("script-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    for path in ["/ui/app.js", "/ui/style.css"] {
        daemon.stranger("GET", path).send(daemon.connect()).expect(200);
    }
    daemon
        .stranger("POST", "/login")
        .send(daemon.connect())
        .expect(401);

    let origin = daemon.url.clone();
    let login = daemon
        .request("POST", "/login")
        .header("origin", &origin)
        .send(daemon.connect())
        .expect(204);
    let set = login.header("set-cookie").unwrap();
    assert!(set.contains("HttpOnly; SameSite=Strict"), "{set}");
    let cookie = set.split(';').next().unwrap();
    let browser = |method: &str, path: &str| daemon.stranger(method, path).header("cookie", cookie);

    browser("GET", "/api/v1/sessions")
        .send(daemon.connect())
        .expect(200);
    let new = json!({ "workspace": machine.workspace() });
    let create = |origin: Option<&str>| {
        let request = browser("POST", "/api/v1/sessions").json(&new);
        match origin {
            Some(origin) => request.header("origin", origin).send(daemon.connect()),
            None => request.send(daemon.connect()),
        }
    };
    create(Some("http://127.0.0.1:1")).expect(403);
    create(Some("null")).expect(403);
    create(None).expect(401);
    create(Some(&origin)).expect(201);
    browser("GET", "/v1/models").send(daemon.connect()).expect(401);
}

use super::*;

fn target(method: Method, path: &str) -> Option<Target> {
    match find(&method, path) {
        Found::Route(index, route) => {
            assert!(std::ptr::eq(&ROUTES[index], route));
            Some(route.target)
        }
        _ => None,
    }
}

#[test]
fn paths_lead_where_the_table_says() {
    use ApiTarget::*;
    let relay = |target| Some(Target::Relay(target));
    let api = |target| Some(Target::Api(target));
    assert_eq!(target(Method::POST, "/v1/messages"), relay(RelayTarget::Messages));
    assert_eq!(
        target(Method::POST, "/v1/messages/batches"),
        relay(RelayTarget::Other)
    );
    assert_eq!(
        target(Method::GET, "/v1/models/claude-x"),
        relay(RelayTarget::Model)
    );
    assert_eq!(target(Method::GET, "/v1/models/a/b"), relay(RelayTarget::Other));
    assert_eq!(target(Method::HEAD, "/"), Some(Target::Hello));
    assert_eq!(
        target(Method::HEAD, "/livez"),
        Some(Target::Operations(OperationsTarget::Live))
    );
    assert_eq!(target(Method::POST, "/api/v1/sessions/s/turns"), api(StartTurn));
    assert_eq!(
        target(Method::GET, "/api/v1/sessions/s/turns/t/events"),
        api(TurnEvents)
    );
    for nowhere in [
        "/v1",
        "/v1/",
        "/V1/messages",
        "/api/v1/sessions/",
        "/api/v1/sessions//turns",
        "/x",
        "*",
    ] {
        assert_eq!(target(Method::GET, nowhere), None, "{nowhere}");
    }
}

#[test]
fn a_wrong_method_tells_the_right_ones() {
    let Found::WrongMethod(methods) = find(&Method::PUT, "/api/v1/sessions/x") else {
        panic!("found")
    };
    assert_eq!(methods, [&Method::GET, &Method::PATCH, &Method::DELETE]);
    assert!(
        matches!(find(&Method::GET, "/v1/messages"), Found::WrongMethod(methods) if methods == [&Method::POST])
    );
    assert!(matches!(
        find(&Method::DELETE, "/v1/models/x"),
        Found::WrongMethod(_)
    ));
    assert!(matches!(find(&Method::POST, "/"), Found::WrongMethod(_)));
    assert_eq!(target(Method::GET, "/"), Some(Target::Page(PageTarget::File)));
}

#[test]
fn every_row_is_reached_by_its_own_pattern() {
    for (index, route) in ROUTES.iter().enumerate() {
        let path = route
            .pattern
            .replace("{*rest}", "some/thing")
            .replace("{*file}", "app.js")
            .replace(['{', '}'], "");
        match find(&route.method, &path) {
            Found::Route(found, _) => assert_eq!(found, index, "{} {}", route.method, route.pattern),
            other => panic!("{} {}: {other:?}", route.method, route.pattern),
        }
    }
}

#[test]
fn parameters_come_in_order() {
    let pattern = "/api/v1/sessions/{id}/turns/{turn}";
    let found: Vec<_> = parameters(pattern, "/api/v1/sessions/a%20b/turns/7").collect();
    assert_eq!(found, ["a%20b", "7"]);
}

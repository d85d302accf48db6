//! Each row is found, and none that changes something is open to everybody.

use super::*;

#[test]
fn each_row_is_found_by_its_own_path_and_no_other_has_it() {
    for (index, route) in ROUTES.iter().enumerate() {
        let path = route.path.replace("{name}", "amr-07");
        match find(route.method.word(), &path) {
            Found::Route(found, name) => {
                assert_eq!(found.call, route.call, "{path}");
                assert_eq!(name.is_some(), route.path.contains("{name}"), "{path}");
            }
            other => panic!("{path}: {other:?}"),
        }
        let after = &ROUTES[index + 1..];
        assert!(after.iter().all(|other| other.call != route.call), "twice");
    }
}

#[test]
fn other_methods_and_other_paths_are_told_apart() {
    assert!(matches!(
        find("PUT", "/v1/status"),
        Found::OtherMethod("GET")
    ));
    assert!(matches!(
        find("GET", "/v1/renew"),
        Found::OtherMethod("POST")
    ));
    for path in [
        "/",
        "/v1",
        "/v1/devices/",
        "/v1/devices//path",
        "/v1/devices/a/b/path",
    ] {
        assert!(matches!(find("GET", path), Found::Nothing), "{path}");
    }
}

#[test]
fn every_change_but_the_roots_asks_for_a_capability() {
    for route in ROUTES.iter().filter(|route| route.method == Method::Post) {
        let signed = matches!(route.call, Call::RecordInvite | Call::Statement);
        assert_eq!(route.needs.is_empty(), signed, "{}", route.path);
    }
}

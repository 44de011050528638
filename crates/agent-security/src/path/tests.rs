use proptest::prelude::*;

use super::*;

fn check(requested: &str) -> Result<String, PathDenied> {
    check_relative(Path::new("/repo/app"), requested).map(|rel| rel.as_str().to_owned())
}

#[test]
fn paths_inside_are_resolved() {
    let cases = [
        (".", "."),
        ("./", "."),
        ("src/lib.rs", "src/lib.rs"),
        ("./src//lib.rs", "src/lib.rs"),
        ("src/../README.md", "README.md"),
        ("src/..", "."),
        ("a/b/../../c/.", "c"),
        ("src/", "src"),
        ("/repo/app", "."),
        ("/repo/app/", "."),
        ("//repo//./app/src", "src"),
        ("/repo/app/a/../b", "b"),
        ("..foo/bar..", "..foo/bar.."),
        (".hidden", ".hidden"),
        ("./~lock", "~lock"),
        ("a~/b", "a~/b"),
        ("größe/漢字.txt", "größe/漢字.txt"),
        ("with space/ x ", "with space/ x "),
        ("src/a:b", "src/a:b"),
    ];
    for (requested, expected) in cases {
        assert_eq!(check(requested).as_deref(), Ok(expected), "{requested:?}");
    }
}

#[test]
fn paths_outside_are_refused_with_a_way_out() {
    let long_name = "n".repeat(256);
    let long_path = "d/".repeat(2048);
    let cases: &[(&str, &str)] = &[
        ("", "`.` for the workspace"),
        ("..", "climbs out"),
        ("../x", "climbs out"),
        ("a/../../app/x", "climbs out"),
        ("/repo/app/../app/x", "climbs out"),
        ("/repo/app/../../etc/passwd", "climbs out"),
        ("/", "outside the workspace"),
        ("/etc/passwd", "outside the workspace"),
        ("/repo/app-evil/x", "outside the workspace"),
        ("/repo/ap", "outside the workspace"),
        ("/repo", "outside the workspace"),
        ("/Work/app/x", "outside the workspace"),
        ("/etc/../repo/app/x", "outside the workspace"),
        ("~", "shell expands"),
        ("~/x", "shell expands"),
        ("~root/x", "shell expands"),
        ("a\\b", "backslash"),
        ("..\\x", "backslash"),
        ("\\\\server\\share", "backslash"),
        ("C:\\x", "drive letter"),
        ("c:/x", "drive letter"),
        ("c:x", "drive letter"),
        ("file:///etc/passwd", "URL"),
        ("https://example.com/x", "URL"),
        ("a\0b", "U+0000"),
        ("a\nb", "U+000A"),
        ("a\u{7f}b", "control"),
        ("a\u{202e}b", "direction"),
        ("a\u{200b}b", "invisible"),
        ("a\u{2215}b", "slash"),
        ("..\u{ff0f}x", "slash"),
        ("...", "dots and blanks"),
        (".. /x", "dots and blanks"),
        ("\u{ff0e}\u{ff0e}/x", "dots and blanks"),
        ("a/\u{2025}", "dots and blanks"),
        (&long_name, "256 bytes"),
        (&long_path, "4096 bytes"),
    ];
    for (requested, expected) in cases {
        let denied = check(requested).expect_err(requested).to_string();
        assert!(denied.contains(expected), "{requested:?}: {denied}");
        assert!(denied.len() < 1500, "{denied}");
        assert!(!denied.chars().any(|c| deceptive(c).is_some()), "{denied:?}");
    }
}

#[test]
fn the_root_itself_may_be_odd() {
    assert_eq!(
        check_relative(Path::new("/"), "/etc/x").map(|r| r.to_string()),
        Ok("etc/x".to_owned())
    );
    assert!(
        check_relative(Path::new("repo"), "/repo/x").is_err(),
        "a relative root holds no absolute path"
    );
    assert!(check_relative(Path::new(""), "/x").is_err());
    assert!(check_relative(Path::new("/repo/../etc"), "/etc/x").is_err());
    assert!(check_relative(Path::new("/repo/../etc"), "/repo/../etc/x").is_err());
}

#[test]
fn walking_down_and_up() {
    let src = RelPath::root().child("src").expect("a plain name");
    let file = src.child("lib.rs").expect("a plain name");
    assert_eq!(file.as_str(), "src/lib.rs");
    assert_eq!(file.file_name(), Some("lib.rs"));
    assert_eq!(file.parent(), Some(src));
    assert_eq!(RelPath::root().parent(), None);
    assert_eq!(RelPath::root().file_name(), None);
    for bad in ["", ".", "..", "a/b", "a\\b", "a\u{202e}", "..."] {
        assert!(RelPath::root().child(bad).is_err(), "{bad:?}");
    }
    for odd in ["~lock", "a:b", ":x"] {
        let child = RelPath::root().child(odd).map(|rel| rel.as_str().to_owned());
        assert_eq!(
            child.as_deref(),
            Ok(odd),
            "a name from a folder is no shell notation"
        );
    }
    let deep = RelPath {
        text: "d".repeat(MAX_PATH_BYTES),
    };
    assert!(deep.child("x").is_err());
}

/// Pieces that hostile paths are made of.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/".to_owned()),
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just("/repo/app".to_owned()),
        Just("/repo/app-evil".to_owned()),
        Just("\\".to_owned()),
        Just("~".to_owned()),
        Just("\u{2215}".to_owned()),
        Just("\u{ff0e}".to_owned()),
        Just(" ".to_owned()),
        Just(":".to_owned()),
        "[a-zA-Z.]{1,3}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_accepted_is_inside(requested in prop_oneof![hostile(), ".{0,40}"]) {
        let root = Path::new("/repo/app");
        if let Ok(rel) = check_relative(root, &requested) {
            for name in rel.components() {
                prop_assert!(!name.is_empty() && name != ".." && name != ".");
                prop_assert!(!name.contains(['/', '\\', '\0']));
                prop_assert!(name.chars().all(|c| deceptive(c).is_none()));
            }
            let joined = root.join(rel.as_path());
            prop_assert!(joined.starts_with(root));
            prop_assert!(!joined.components().any(|c| c == Component::ParentDir));
            // Spelled with a leading `./`, what was accepted names itself.
            prop_assert_eq!(check_relative(root, &format!("./{rel}")), Ok(rel.clone()));
            let _reason = control_file(&rel);
        }
    }

    #[test]
    fn an_absolute_request_means_the_same_as_a_relative_one(names in proptest::collection::vec("[a-z]{1,4}|\\.\\.", 0..6)) {
        let root = Path::new("/repo/app");
        let relative = format!("./{}", names.join("/"));
        let absolute = format!("/repo/app/{}", names.join("/"));
        prop_assert_eq!(check_relative(root, &relative).ok(), check_relative(root, &absolute).ok());
    }
}

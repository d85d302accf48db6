//! Secrets: where they may come from, that none is shown, and what is done where one is missing.

use std::collections::BTreeMap;
use std::env::VarError;
use std::io;
use std::path::Path;

use regatta_protocol::config::value::KeyPath;

use super::{SecretSource, Ways, open};
use crate::manifest::{Body, read};

fn of_spec(secrets: &str) -> Result<Vec<(KeyPath, SecretSource)>, String> {
    let text = format!(
        "apiVersion: regatta/v1\nkind: Config\nmetadata: {{name: nav}}\nspec:\n  select: \"\"\n  values: {{a: {{b: \
         1}}}}\n  secrets: {secrets}\n"
    );
    let all = read("nav.yaml", text.as_bytes(), Path::new("/m"), &[]);
    let all = all.map_err(|error| error.to_string())?;
    match all.manifests.into_iter().next().expect("one").body {
        Body::Config(config) => Ok(config.secrets),
    }
}

fn opened(secrets: &str, piped: Option<&[u8]>) -> Result<Vec<(String, String)>, String> {
    let variables = BTreeMap::from([("PSK", "hunter2\n"), ("EMPTY", "")]);
    let environment = |name: &str| match variables.get(name) {
        Some(text) => Ok((*text).to_owned()),
        None => Err(VarError::NotPresent),
    };
    let file = |path: &Path| match path.to_str() {
        Some("/m/key" | "/abs/key") => Ok(b"from a file\r\n".to_vec()),
        Some("/m/bytes") => Ok(vec![0xff]),
        Some("/m/long") => Ok(vec![b'x'; 64 * 1024]),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let mut pipe = || Ok(piped.unwrap_or_default().to_vec());
    let mut ways = Ways {
        environment: &environment,
        file: &file,
        stdin: piped.is_some().then_some(&mut pipe),
    };
    let sources = of_spec(secrets).expect("right");
    let opened = open(&sources, &mut ways).map_err(|error| error.to_string())?;
    assert!(!format!("{opened:?}").contains("hunter2"));
    let each = opened
        .iter()
        .map(|(path, text)| (path.to_string(), text.expose().to_owned()));
    Ok(each.collect())
}

#[test]
fn secrets_are_fetched_from_where_they_are_said_to_be() {
    let secrets = "{psk: {from: env:PSK}, b.key: {from: file:key}, c: {from: file:/abs/key}, d: {from: stdin}, e: \
     {from: sealed}}";
    let expect = [
        ("b.key", "from a file"),
        ("c", "from a file"),
        ("d", "piped"),
        // What a variable says is meant to the last character.
        ("psk", "hunter2\n"),
    ];
    let expect = expect.map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(opened(secrets, Some(b"piped\n")), Ok(expect.to_vec()));
}

#[test]
fn a_secret_that_cannot_be_had_is_named_with_what_to_do() {
    for (source, expect) in [
        ("env:NONE", "secret x: env:NONE is not set; export it first"),
        ("env:EMPTY", "secret x: env:EMPTY is empty"),
        (
            "file:none",
            "secret x: file:/m/none cannot be read: entity not found",
        ),
        (
            "file:bytes",
            "secret x: file:/m/bytes is not UTF-8, so it is no text",
        ),
        (
            "file:long",
            "secret x: file:/m/long is too long: all secrets of a document have at most 65536 bytes",
        ),
        (
            "stdin",
            "secret x: stdin was read already; take this one from env:NAME or file:PATH",
        ),
    ] {
        let said = opened(&format!("{{x: {{from: {source}}}}}"), None);
        assert_eq!(said, Err(expect.to_owned()));
    }
}

#[test]
fn what_may_be_a_secret_is_refused_and_never_repeated() {
    const ADVICE: &str = "write {from: env:NAME}, {from: file:PATH} or {from: stdin}";
    let literal = format!("a secret never stands in a manifest; {ADVICE}");
    let nowhere = format!("this is no place to have a secret from; {ADVICE}");
    for (secrets, expect) in [
        (
            "{psk: hunter2}",
            format!("7:18: spec.secrets.psk: {literal}"),
        ),
        (
            "{psk: [hunter2]}",
            format!("7:18: spec.secrets.psk: {literal}"),
        ),
        (
            "{psk: {from: hunter2}}",
            format!("7:25: spec.secrets.psk.from: {nowhere}"),
        ),
        (
            "{psk: {from: \"env:hunter 2\"}}",
            format!("7:25: spec.secrets.psk.from: {nowhere}"),
        ),
        (
            "{psk: {}}",
            format!("7:18: spec.secrets.psk.from: missing; {ADVICE}"),
        ),
        (
            "{psk: {value: hunter2}}",
            format!(
                "7:18: spec.secrets.psk.from: missing; {ADVICE}\n\
             nav.yaml:7:19: spec.secrets.psk.value: unknown field; known here: from"
            ),
        ),
        (
            "hunter2",
            format!("7:12: spec.secrets: takes places in the tree; for each, {ADVICE}"),
        ),
        (
            "{.: {from: stdin}}",
            "7:16: spec.secrets.\".\": the whole tree cannot be one secret; name a place in \
         it"
            .to_owned(),
        ),
        (
            "{x: {from: stdin}, y: {from: stdin}}",
            "7:34: spec.secrets.y: only one secret can come from stdin; take \
         this one from env:NAME or file:PATH"
                .to_owned(),
        ),
        (
            "{x: {from: env:A}, x.y: {from: env:B}}",
            "7:36: spec.secrets.\"x.y\": stands in the way of the secret x; \
         keep one of them"
                .to_owned(),
        ),
        (
            "{a.b.c: {from: env:A}}",
            "7:13: spec.secrets.\"a.b.c\": values set a.b, and not to a map; nothing can \
         stand below it"
                .to_owned(),
        ),
        (
            "{a.b: {from: env:A}}",
            "7:13: spec.secrets.\"a.b\": is set by values too; a secret stands in values never \
         in clear"
                .to_owned(),
        ),
    ] {
        let said = of_spec(secrets).expect_err(secrets);
        assert!(!said.contains("hunter"), "{said}");
        assert_eq!(said, format!("nav.yaml:{expect}"), "{secrets}");
    }
}

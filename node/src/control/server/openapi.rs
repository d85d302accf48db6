//! The API's document, OpenAPI 3.1, written from the table that requests are looked up in.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::routes::{Content, Method, ROUTES, Route, Shape};
use crate::control::api::Problem;

const PROBLEM: Shape = |generator| generator.subschema_for::<Problem>();

/// The document.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    });
    let mut generator = SchemaGenerator::new(settings);
    let mut paths = Map::new();
    for route in &ROUTES {
        let operation = operation(route, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.word().to_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Regatta's control API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "HTTP over the unix socket of a running node. Names come before ids, \
                states are lower-case words, moments are RFC 3339 in UTC, durations end in their unit.",
        },
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true) },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut parameters = Vec::new();
    if route.path.contains("{name}") {
        parameters.push(json!({
            "name": "name",
            "in": "path",
            "required": true,
            "description": "a name, an id, or a prefix of an id that no other has",
            "schema": { "type": "string" },
        }));
    }
    parameters.extend(route.query.iter().map(|(name, about)| {
        json!({
            "name": name,
            "in": "query",
            "required": false,
            "description": about,
            "schema": { "type": "string" },
        })
    }));
    let content = match route.gives {
        Content::Json(shape) => json!({ "application/json": { "schema": shape(generator) } }),
        Content::Lines(shape) => json!({ "application/jsonl": { "schema": shape(generator) } }),
        Content::Text => json!({ "text/plain": { "schema": { "type": "string" } } }),
        Content::AnyJson => json!({ "application/json": { "schema": {} } }),
    };
    let problem = json!({ "application/json": { "schema": PROBLEM(generator) } });
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.about,
        "parameters": parameters,
        "responses": {
            "200": { "description": "Done", "content": content },
            "default": { "description": "Not done", "content": problem },
        },
    });
    if let Some(shape) = route.takes {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": shape(generator) } },
        });
    }
    if !route.needs.is_empty() {
        let needs: Vec<String> = route.needs.iter().map(ToString::to_string).collect();
        operation["x-capabilities"] = json!(needs);
    }
    operation
}

/// `get_devices_name_path` for GET /v1/devices/{name}/path.
fn operation_id(route: &Route) -> String {
    let verb = match route.method {
        Method::Get => "get",
        Method::Post => "post",
    };
    let path = route.path.trim_start_matches("/v1").replace(['{', '}'], "");
    format!("{verb}{}", path.replace(['/', '.'], "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_every_path_and_every_reference_leads_somewhere() {
        let document = document();
        for route in &ROUTES {
            let method = route.method.word().to_lowercase();
            let operation = &document["paths"][route.path][&method];
            assert_eq!(operation["summary"], route.about, "{}", route.path);
        }
        let text = document.to_string();
        let mut found = 0;
        for (at, _) in text.match_indices("#/components/schemas/") {
            let name: String = text[at + "#/components/schemas/".len()..]
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            assert!(
                document["components"]["schemas"][&name].is_object(),
                "{name}"
            );
            found += 1;
        }
        assert!(found > 20, "{found} references");
    }

    #[test]
    fn flattened_fields_are_documented_as_they_are_sent() {
        let device = &document()["components"]["schemas"]["Device"]["properties"];
        for field in ["name", "state", "last_heard_ms", "certificate_until"] {
            assert!(device[field].is_object(), "{field}: {device}");
        }
    }
}

//! One operation of the document, and how it is written.

use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::input::{Kind, Parameter};

/// What no parameter may hold.
const NO_CONTROLS: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

/// Makes schemas, and collects those that others refer to. Two, because what is read may leave out what is written always.
pub(super) struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

/// What the document says of one route.
pub(super) struct Operation {
    pub(super) description: &'static str,
    pub(super) parameters: Vec<Value>,
    pub(super) body: Option<Value>,
    pub(super) responses: Map<String, Value>,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            read: settings.clone().into_generator(),
            written: settings.for_serialize().into_generator(),
        }
    }

    /// Of a request.
    pub(super) fn read<T: JsonSchema>(&mut self) -> Value {
        self.read.subschema_for::<T>().to_value()
    }

    /// Of an answer.
    pub(super) fn written<T: JsonSchema>(&mut self) -> Value {
        self.written.subschema_for::<T>().to_value()
    }

    /// All that were referred to.
    pub(super) fn into_definitions(mut self) -> Map<String, Value> {
        let mut all = self.read.take_definitions(true);
        all.extend(self.written.take_definitions(true));
        all
    }
}

impl Operation {
    pub(super) fn new(description: &'static str) -> Self {
        Operation {
            description,
            parameters: Vec::new(),
            body: None,
            responses: Map::new(),
        }
    }

    pub(super) fn query(mut self, declared: &[Parameter]) -> Self {
        self.parameters.extend(declared.iter().map(query_parameter));
        self
    }

    pub(super) fn path(mut self, name: &str, schema: Value, help: &str) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "path", "required": true, "description": help, "schema": schema
        }));
        self
    }

    pub(super) fn header(mut self, name: &str, schema: Value, help: &str) -> Self {
        self.parameters
            .push(json!({ "name": name, "in": "header", "description": help, "schema": schema }));
        self
    }

    pub(super) fn body(mut self, schema: Value, required: bool) -> Self {
        self.body =
            Some(json!({ "required": required, "content": { "application/json": { "schema": schema } } }));
        self
    }

    /// A status with JSON of this schema.
    pub(super) fn gives(self, status: StatusCode, description: &str, schema: Value) -> Self {
        self.gives_content(
            status,
            description,
            json!({ "application/json": { "schema": schema } }),
        )
    }

    pub(super) fn gives_content(mut self, status: StatusCode, description: &str, content: Value) -> Self {
        let response = json!({ "description": description, "content": content });
        self.responses.insert(status.as_str().to_owned(), response);
        self
    }

    pub(super) fn gives_nothing(mut self, status: StatusCode, description: &str) -> Self {
        self.responses
            .insert(status.as_str().to_owned(), json!({ "description": description }));
        self
    }

    /// What the answer with `status` leads to: operations, and where in its body their parameters are.
    pub(super) fn leads_to(mut self, status: StatusCode, operations: &[&str], parameters: &Value) -> Self {
        let link = |name: &&str| {
            (
                (*name).to_owned(),
                json!({ "operationId": name, "parameters": parameters }),
            )
        };
        self.responses[status.as_str()]["links"] = operations.iter().map(link).collect();
        self
    }

    /// A status whose answer has the shape that the surface gives to every refusal.
    pub(super) fn refuses(mut self, status: StatusCode, description: &str) -> Self {
        // The shape is put in where the surface is known.
        self.responses
            .entry(status.as_str())
            .or_insert_with(|| json!({ "description": description }));
        self
    }
}

fn query_parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.kind {
        Kind::Text { max_chars } => {
            json!({ "type": "string", "maxLength": max_chars, "pattern": NO_CONTROLS })
        }
        Kind::Integer { min, max, default } => {
            let mut schema = json!({ "type": "integer", "minimum": min, "maximum": max });
            if let Some(default) = default {
                schema["default"] = default.into();
            }
            schema
        }
        Kind::Choice(words) => json!({ "type": "string", "enum": words }),
        Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::Flag => json!({ "type": "string", "enum": ["", "true", "false", "1", "0"] }),
    };
    let mut value = json!({
        "name": parameter.name, "in": "query", "description": parameter.help, "schema": schema
    });
    if matches!(parameter.kind, Kind::Flag | Kind::Text { .. }) {
        value["allowEmptyValue"] = true.into();
    }
    value
}

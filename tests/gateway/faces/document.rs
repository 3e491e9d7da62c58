//! The description of REST, held against all that the tests say to it and hear of it.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;
use tokio::sync::OnceCell;

/// The document at `/openapi.json`.
pub struct Document {
    pub json: Value,
    schemas: Schemas,
    /// Of each body: where its schema is in the document.
    bodies: Vec<(String, SchemaIndex)>,
}

impl Document {
    /// That of the service at `url`; it is the same of every service. Each reference in it leads somewhere.
    pub async fn of(url: &str) -> &'static Self {
        static DOCUMENT: OnceCell<Document> = OnceCell::const_new();
        let read = async || {
            let response = reqwest::get(format!("{url}/openapi.json")).await.unwrap();
            Self::compile(response.json().await.unwrap())
        };
        DOCUMENT.get_or_init(read).await
    }

    fn compile(json: Value) -> Self {
        let (mut compiler, mut schemas, mut bodies) = (Compiler::new(), Schemas::new(), Vec::new());
        compiler.enable_format_assertions();
        compiler.add_resource("mem:/", json.clone()).unwrap();
        let mut add = |pointer: String| {
            let resolved = resolve(&json, &pointer);
            let place = format!("mem:/#{resolved}/content/application~1json/schema");
            let schema = compiler.compile(&place, &mut schemas);
            bodies.push((pointer, schema.unwrap_or_else(|error| panic!("{error:#}"))));
        };
        for (path, operations) in json["paths"].as_object().unwrap() {
            for (verb, operation) in operations.as_object().unwrap() {
                let at = format!("/paths/{}/{verb}", path.replace('/', "~1"));
                if operation.get("requestBody").is_some() {
                    add(format!("{at}/requestBody"));
                }
                for status in operation["responses"].as_object().unwrap().keys() {
                    add(format!("{at}/responses/{status}"));
                }
            }
        }
        Self { json, schemas, bodies }
    }

    /// Checks that the answer to a POST is one that is described, and what was granted, too.
    pub fn check(&self, path: &str, request: &Value, status: u16, answer: &Value) {
        let at = format!("/paths/{}/post", path.replace('/', "~1"));
        self.conforms(&format!("{at}/responses/{status}"), answer);
        if status == 200 {
            self.conforms(&format!("{at}/requestBody"), request);
        }
    }

    fn conforms(&self, pointer: &str, body: &Value) {
        let body_schema = self.bodies.iter().find(|(known, _)| known == pointer);
        let (_, schema) = body_schema.unwrap_or_else(|| panic!("{pointer} is not described"));
        if let Err(error) = self.schemas.validate(body, *schema) {
            panic!("{pointer}: {body}: {error:#}");
        }
    }
}

/// `pointer`, or where its reference leads.
fn resolve<'d>(json: &'d Value, pointer: &'d str) -> &'d str {
    let referred = json.pointer(pointer).unwrap().get("$ref").and_then(Value::as_str);
    referred.map_or(pointer, |place| place.trim_start_matches('#'))
}

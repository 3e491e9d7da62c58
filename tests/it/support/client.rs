//! A caller with a token, and what it is answered.

use std::time::Duration;

use reqwest::{Method, header};
use serde_json::{Map, Value, json};

/// The metadata that every scenario reads.
pub const FIELDS: &str = "id userSecretId name schemaId provider tags domainId userId version \
                          revision expiresAt createdAt updatedAt";

/// A caller.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// A created secret.
#[derive(Clone, Debug)]
pub struct Secret {
    pub id: String,
    pub json: Value,
}

/// An answer, whatever it is.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub www_authenticate: Option<String>,
    pub text: String,
    /// Null when the text is no JSON.
    pub json: Value,
}

impl Client {
    pub fn new(url: String, token: Option<String>) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            // A server that hangs fails the test instead of stalling it.
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Self { http, url, token }
    }

    /// A request to `/graphql` with the caller's token and nothing else.
    pub fn request(&self, method: Method) -> reqwest::RequestBuilder {
        self.get_url(method, "")
    }

    /// A request to `/graphql` with `query` behind the path.
    pub fn get_url(&self, method: Method, query: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{query}", self.url));
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    /// The status of a GET, if there is an answer at all.
    pub async fn try_status(&self) -> Option<u16> {
        self.request(Method::GET).send().await.ok().map(|response| response.status().as_u16())
    }

    /// Posts `body` as `application/json`, unparsed.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.request(Method::POST).header(header::CONTENT_TYPE, "application/json");
        Answer::of(request.body(body)).await
    }

    pub async fn gql(&self, document: &str, variables: Value) -> Answer {
        self.post(json!({ "query": document, "variables": variables }).to_string()).await
    }

    /// Creates a secret whose data is `{"key": name}`.
    pub async fn create(&self, name: &str) -> Secret {
        self.create_from(json!({ "name": name, "data": { "key": name } })).await
    }

    /// Creates a secret, which must succeed.
    pub async fn create_from(&self, input: Value) -> Secret {
        let answer = self.try_create(input).await;
        assert_eq!(answer.code(), "OK", "{}", answer.text);
        let json = answer.at("/createUserSecret/userSecret");
        Secret { id: json["userSecretId"].as_str().unwrap().to_owned(), json }
    }

    pub async fn try_create(&self, input: Value) -> Answer {
        self.mutate("createUserSecret", "CreateUserSecretInput", &with_fields(), input).await
    }

    pub async fn update(&self, id: &str, changes: Value) -> Answer {
        let input = with_id(id, changes);
        self.mutate("updateUserSecret", "UpdateUserSecretInput", &with_fields(), input).await
    }

    pub async fn update_data(&self, id: &str, changes: Value) -> Answer {
        let input = with_id(id, changes);
        self.mutate("updateUserSecretData", "UpdateUserSecretDataInput", &with_fields(), input).await
    }

    pub async fn delete(&self, id: &str, more: Value) -> Answer {
        let input = with_id(id, more);
        self.mutate("deleteUserSecret", "DeleteUserSecretInput", "userSecretId", input).await
    }

    async fn mutate(&self, field: &str, input_type: &str, selection: &str, input: Value) -> Answer {
        let document =
            format!("mutation($input: {input_type}!) {{ {field}(input: $input) {{ {selection} }} }}");
        self.gql(&document, json!({ "input": input })).await
    }

    pub async fn get(&self, id: &str) -> Answer {
        let document = format!("query($id: ID!) {{ userSecret(userSecretId: $id) {{ {FIELDS} }} }}");
        self.gql(&document, json!({ "id": id })).await
    }

    pub async fn node(&self, id: &str) -> Answer {
        let document =
            format!("query($id: ID!) {{ node(id: $id) {{ __typename id ... on UserSecret {{ {FIELDS} }} }} }}");
        self.gql(&document, json!({ "id": id })).await
    }

    /// Reveals the data, of `version` if one is given.
    pub async fn reveal(&self, domain: &str, id: &str, version: Option<i32>) -> Answer {
        let document = "query($id: ID!, $domain: ID!, $version: Int) {
            userSecretData(userSecretId: $id, domainId: $domain, version: $version) {
                encrypted encryptOptions data version
            }
        }";
        self.gql(document, json!({ "id": id, "domain": domain, "version": version })).await
    }

    /// A page of the caller's secrets; `arguments` stands as it is in the document.
    pub async fn list(&self, arguments: &str) -> Answer {
        self.list_with(arguments, "", json!({})).await
    }

    /// The same with variables, declared in `declarations`.
    pub async fn list_with(&self, arguments: &str, declarations: &str, variables: Value) -> Answer {
        let arguments = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
        let declarations =
            if declarations.is_empty() { String::new() } else { format!("query({declarations})") };
        let document = format!(
            "{declarations} {{ userSecrets{arguments} {{ totalCount edges {{ cursor node {{ {FIELDS} }} }}
             nodes {{ id name }}
             pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
        );
        self.gql(&document, variables).await
    }
}

fn with_fields() -> String {
    format!("userSecret {{ {FIELDS} }}")
}

fn with_id(id: &str, changes: Value) -> Value {
    let mut input = Map::from_iter([("userSecretId".to_owned(), Value::from(id))]);
    if let Value::Object(changes) = changes {
        input.extend(changes);
    }
    Value::Object(input)
}

impl Answer {
    /// Sends `request`; a connection that breaks fails the test.
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        Self::read(request.send().await.unwrap()).await
    }

    pub async fn read(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let www_authenticate = response
            .headers()
            .get(header::WWW_AUTHENTICATE)
            .map(|value| value.to_str().unwrap().to_owned());
        let text = response.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, www_authenticate, text, json }
    }

    /// The first error's code, or `OK`.
    pub fn code(&self) -> &str {
        match self.json.get("errors") {
            Some(errors) => errors[0]["extensions"]["code"].as_str().unwrap_or("NO CODE"),
            None if self.json.get("data").is_some() => "OK",
            None => "NO ANSWER",
        }
    }

    /// The first error's message.
    pub fn message(&self) -> &str {
        self.json["errors"][0]["message"].as_str().unwrap_or_default()
    }

    /// What lies below `data`.
    pub fn at(&self, pointer: &str) -> Value {
        let found = self.json["data"].pointer(pointer);
        found.unwrap_or_else(|| panic!("no {pointer} in {}", self.text)).clone()
    }

    /// The names of a page's rows.
    pub fn names(&self) -> Vec<String> {
        let nodes = self.at("/userSecrets/nodes");
        let name = |node: &Value| node["name"].as_str().unwrap().to_owned();
        nodes.as_array().unwrap().iter().map(name).collect()
    }

    /// Demands this code, and that the message begins with the argument's name.
    #[track_caller]
    pub fn assert_names(&self, code: &str, argument: &str) {
        assert_eq!(self.code(), code, "{}", self.text);
        let named = self.message().split(": ").next().unwrap_or_default();
        assert_eq!(named.rsplit('.').next().unwrap(), argument, "{}", self.text);
    }
}

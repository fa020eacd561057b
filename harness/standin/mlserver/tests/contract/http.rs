//! Requests over HTTP.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::CONFESSES;

const SAME: &[&str] = &[];
/// The estimator's name is in Python's words, and the stand-in is none.
const ESTIMATOR: &[&str] = &["/body"];
/// Python trips over what it finds in the artefact; the stand-in looks at its beginning only.
const PICKLE: &[&str] = &["/body"];
/// The server says that it is a stand-in.
const EXTENSIONS: &[&str] = &["/body/extensions"];
/// Another parser's words.
const PARSER: &[&str] = &["/body/detail/0/ctx/error"];
/// One class, and so one probability, where the model knows three.
const PROBABILITIES: &[&str] =
    &["/body/outputs/0/data", "/body/outputs/0/shape/1", "/body/parameters/stand_in"];
/// How many columns the model was fitted for is in the pickle, so any number is taken.
const COLUMNS: &[&str] = &[
    "/body",
    "/headers/ce-endpoint",
    "/headers/ce-id",
    "/headers/ce-inferenceservicename",
    "/headers/ce-modelid",
    "/headers/ce-requestid",
    "/headers/ce-source",
    "/headers/ce-specversion",
    "/headers/ce-type",
    "/headers/content-type",
    "/status",
];

type Row = (&'static str, &'static str, Option<&'static str>, &'static [&'static str]);

const INFER: &str = "/v2/models/iris_1/infer";

macro_rules! tensor {
    ($shape:literal, $datatype:literal, $data:literal) => {
        Some(concat!(
            r#"{"inputs":[{"name":"predict","shape":"#,
            $shape,
            r#","datatype":""#,
            $datatype,
            r#"","data":"#,
            $data,
            "}]}"
        ))
    };
}

/// An iris that the model calls class 0, as the stand-in does of anything.
macro_rules! setosa {
    ($more:literal) => {
        Some(concat!(
            r#"{"inputs":[{"name":"predict","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]"#,
            $more,
            "}"
        ))
    };
}

/// In this order: what is loaded is so for those that follow. Where answers differ, and why, is in a constant's name.
pub(crate) const ROWS: &[Row] = &[
    ("GET", "/v2/health/live", None, SAME),
    ("GET", "/v2/health/ready", None, SAME),
    ("POST", "/v2/health/live", None, SAME),
    ("HEAD", "/v2/health/live", None, SAME),
    ("GET", "/v2", None, EXTENSIONS),
    ("GET", "/v2/models/iris_1/ready", None, SAME),
    ("GET", "/v2/models/iris_1", None, SAME),
    ("POST", INFER, setosa!(""), SAME),
    ("POST", "/v2/repository/index", Some("{}"), SAME),
    ("POST", "/v2/repository/index", Some(r#"{"ready":true}"#), SAME),
    ("POST", "/v2/repository/index", Some(r#"{"ready":5}"#), SAME),
    ("POST", "/v2/repository/index", None, SAME),
    ("POST", "/v2/repository/index", Some("[]"), SAME),
    ("POST", "/v2/repository/models/nope_1/load", None, SAME),
    ("POST", "/v2/repository/models/broken_1/load", None, SAME),
    ("POST", "/v2/repository/models/missing_1/load", None, SAME),
    ("POST", "/v2/repository/models/corrupt_1/load", None, PICKLE),
    ("POST", "/v2/repository/models/boosted_1/load", None, SAME),
    ("POST", "/v2/repository/models/missing_1/unload", None, SAME),
    ("POST", "/v2/repository/models/missing_1/unload", None, SAME),
    ("POST", "/v2/repository/models/iris_1/load", None, SAME),
    ("POST", "/v2/repository/models/iris_1/load", None, SAME),
    ("POST", "/v2/repository/index", Some("{}"), SAME),
    ("POST", "/v2/repository/index", Some(r#"{"ready":true}"#), SAME),
    ("GET", "/v2/health/ready", None, SAME),
    ("GET", "/v2/models/iris_1/ready", None, SAME),
    ("GET", "/v2/models/iris_1/versions/1/ready", None, SAME),
    ("GET", "/v2/models/iris_1/versions/2/ready", None, SAME),
    ("GET", "/v2/models/iris_1", None, SAME),
    ("GET", "/v2/models/iris_1/versions/1", None, SAME),
    ("GET", "/v2/models/nope", None, SAME),
    ("POST", INFER, setosa!(""), CONFESSES),
    ("POST", INFER, setosa!(r#","id":"abc""#), CONFESSES),
    ("POST", "/v2/models/iris_1/versions/1/infer", setosa!(""), CONFESSES),
    ("POST", "/v2/models/iris_1/versions/2/infer", setosa!(""), SAME),
    ("POST", "/v2/models/iris_1/generate", setosa!(""), CONFESSES),
    ("POST", "/v2/models/nope/infer", setosa!(""), SAME),
    ("POST", INFER, setosa!(r#","outputs":[{"name":"predict_proba"}]"#), PROBABILITIES),
    ("POST", INFER, setosa!(r#","outputs":[{"name":"transform"}]"#), ESTIMATOR),
    ("POST", INFER, setosa!(r#","outputs":[{"name":"zzz"}]"#), SAME),
    ("POST", INFER, setosa!(r#","outputs":[{}]"#), SAME),
    ("POST", INFER, setosa!(r#","outputs":5"#), SAME),
    ("POST", INFER, setosa!(r#","id":5"#), SAME),
    ("POST", INFER, Some(r#"{"inputs":[]}"#), SAME),
    ("POST", INFER, Some(r#"{"inputs":5}"#), SAME),
    ("POST", INFER, Some(r#"{"inputs":[5]}"#), SAME),
    ("POST", INFER, Some(r#"{"inputs":null}"#), SAME),
    ("POST", INFER, Some("{}"), SAME),
    ("POST", INFER, Some("[]"), SAME),
    ("POST", INFER, Some("null"), SAME),
    ("POST", INFER, Some("not json"), PARSER),
    ("POST", INFER, None, SAME),
    ("POST", INFER, Some(r#"{"inputs":[{"shape":[1,4],"datatype":"FP32"}]}"#), SAME),
    ("POST", INFER, Some(r#"{"inputs":[{"name":5,"shape":[1],"datatype":"FP32","data":[1]}]}"#), SAME),
    ("POST", INFER, tensor!("[1,4]", "FP33", "[1,2,3,4]"), SAME),
    ("POST", INFER, tensor!(r#"["a"]"#, "FP32", "[1,2,3,4]"), SAME),
    ("POST", INFER, tensor!("[1,1.5]", "FP32", "[1,2]"), SAME),
    ("POST", INFER, tensor!("4", "FP32", "[1]"), SAME),
    ("POST", INFER, tensor!("[-1,4]", "FP64", "[5.1,3.5,1.4,0.2]"), CONFESSES),
    ("POST", INFER, tensor!("[2,4]", "INT64", "[[5,3,1,0],[5,4,1,0]]"), CONFESSES),
    ("POST", INFER, tensor!("[1,4]", "INT32", "[5.1,3.5,1.4,0.2]"), CONFESSES),
    ("POST", INFER, tensor!("[1,4]", "FP32", r#"["5.1","3.5","1.4","0.2"]"#), CONFESSES),
    ("POST", INFER, tensor!("[1,4]", "BOOL", "[true,true,false,false]"), CONFESSES),
    ("POST", INFER, tensor!("[1,5]", "FP32", "[1,2,3,4]"), SAME),
    ("POST", INFER, tensor!("[5]", "FP32", "[1,2,3,4]"), SAME),
    ("POST", INFER, tensor!("[-1,3]", "FP32", "[1,2,3,4]"), SAME),
    ("POST", INFER, tensor!("[1,-1,3]", "FP32", "[1,2,3,4]"), SAME),
    ("POST", INFER, tensor!("[-1,-1]", "FP32", "[1,2,3,4]"), SAME),
    ("POST", INFER, tensor!("[4]", "FP32", "[1,2,3,4]"), SAME),
    ("POST", INFER, tensor!("[]", "FP32", "[1]"), SAME),
    ("POST", INFER, tensor!("[1,4]", "FP32", "5"), SAME),
    ("POST", INFER, tensor!("[1,1,4]", "FP32", "[1,2,3,4]"), ESTIMATOR),
    ("POST", INFER, tensor!("[0,4]", "FP32", "[]"), ESTIMATOR),
    ("POST", INFER, tensor!("[1,0]", "FP32", "[]"), ESTIMATOR),
    ("POST", INFER, tensor!("[1,4]", "FP32", "[null,1,2,3]"), ESTIMATOR),
    ("POST", INFER, tensor!("[1,3]", "FP32", "[1,2,3]"), COLUMNS),
    ("POST", INFER, tensor!("[1,4]", "FP32", r#"["a","b","c","d"]"#), SAME),
    ("POST", INFER, tensor!("[1,4]", "INT32", r#"["a",2,3,4]"#), SAME),
    ("POST", INFER, tensor!("[1,4]", "INT32", "[null,2,3,4]"), SAME),
    ("POST", INFER, tensor!("[1,4]", "FP32", "[{},1,2,3]"), SAME),
    ("POST", INFER, tensor!("[1,4]", "UINT8", "[1,2,3,400]"), SAME),
    ("POST", INFER, tensor!("[1,4]", "BYTES", r#"["a","b","c","d"]"#), SAME),
    ("POST", INFER, tensor!("[1,4]", "FP32", "[[1,2],[3]]"), SAME),
    ("POST", INFER, tensor!("[1,4]", "FP32", "[[1,2],3,4]"), SAME),
    ("POST", INFER, tensor!("[1,4]", "FP32", "[[[1],[2]],[[3,4]]]"), SAME),
    ("GET", INFER, None, SAME),
    ("GET", "/v2/models/iris_1/", None, SAME),
    ("GET", "/v2/", None, SAME),
    ("GET", "/v2/models/iris_1/nosuch", None, SAME),
    ("GET", "/v2/models", None, SAME),
    ("GET", "/metrics", None, SAME),
    ("GET", "/", None, SAME),
    ("POST", "/v2/repository/models/iris_1/unload", None, SAME),
    ("POST", "/v2/repository/models/iris_1/unload", None, SAME),
    ("GET", "/v2/models/iris_1/ready", None, SAME),
];

/// Whether the server on `port` says so.
pub(crate) async fn is_live(port: u16) -> bool {
    match exchange(port, "GET", "/v2/health/live", None).await {
        Some((head, _)) => head.starts_with("HTTP/1.1 200 "),
        None => false,
    }
}

/// Status, headers and body of the answer, without what is another one each time: dates, ids, ports.
pub(crate) async fn ask(port: u16, method: &str, path: &str, body: Option<&str>) -> Value {
    let (head, body) = exchange(port, method, path, body).await.expect("the server does not listen");
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers: serde_json::Map<String, Value> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.replace(&port.to_string(), "PORT")))
        // Bodies are compared; who ends the connection is agreed on beforehand.
        .filter(|(name, _)| !["date", "content-length", "connection"].contains(&name.as_str()))
        .map(|(name, value)| (name, json!(without_id(&value))))
        .collect();
    json!({"status": status, "headers": headers, "body": comparable(&body)})
}

/// JSON as it is, lists of models in order; of a trace of Python's the last line.
fn comparable(body: &str) -> Value {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else {
        return json!(body.lines().last().unwrap_or_default());
    };
    if let Some(models) = value.as_array_mut() {
        models.sort_by_key(|model| model["name"].to_string());
    }
    if let Some(id) = value.get("id").and_then(Value::as_str).map(without_id) {
        value["id"] = json!(id);
    }
    value
}

/// An id that was made up is called so.
fn without_id(text: &str) -> String {
    let is_made_up = text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    if is_made_up { "MADE UP".to_owned() } else { text.to_owned() }
}

async fn exchange(port: u16, method: &str, path: &str, body: Option<&str>) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let content = match body {
        Some(body) => {
            format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        }
        None => "\r\n".to_owned(),
    };
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n{content}");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8(answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(head, body)| (head.to_owned(), body.to_owned()))
}

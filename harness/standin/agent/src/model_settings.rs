//! `model-settings.json`: what tells MLServer how to load an artefact.

use std::fs;
use std::path::Path;

use regex::Regex;
use seldon_proto::scheduler::ModelSpec;
use serde_json::{Map, Value, json};

/// The file's name.
pub(crate) const FILE: &str = "model-settings.json";

/// Writes the settings when the artefact has none, and sets name, version and extra parameters.
///
/// # Errors
/// The text the scheduler is told.
pub(crate) fn complete(folder: &Path, model: &str, version: u32, spec: &ModelSpec) -> Result<(), String> {
    let path = folder.join(FILE);
    let mut settings = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string())?,
        Err(_) => from_requirements(folder, &spec.requirements)?,
    };
    let fields =
        settings.as_object_mut().ok_or("json: cannot unmarshal model-settings.json: not an object")?;
    fields.insert("name".to_owned(), json!(model));
    let parameters = fields.entry("parameters").or_insert_with(|| json!({}));
    let parameters = parameters.as_object_mut().ok_or("json: cannot unmarshal parameters: not an object")?;
    parameters.insert("version".to_owned(), json!(version.to_string()));
    if !spec.parameters.is_empty() {
        let extra = parameters.entry("extra").or_insert_with(|| Value::Object(Map::new()));
        let extra = extra.as_object_mut().ok_or("json: cannot unmarshal extra: not an object")?;
        extra
            .extend(spec.parameters.iter().map(|parameter| (parameter.name.clone(), json!(parameter.value))));
    }
    fs::write(&path, settings.to_string()).map_err(|error| format!("open {}: {error}", path.display()))
}

/// Settings for the first requirement that has a runtime.
fn from_requirements(folder: &Path, requirements: &[String]) -> Result<Value, String> {
    for requirement in requirements {
        let found = match requirement.as_str() {
            "alibi-detect" => Ok(settings("./", "mlserver_alibi_detect.AlibiDetectRuntime")),
            "alibi-explain" => explainer(folder),
            "lightgbm" => artefact(folder, &["bst"], "mlserver_lightgbm.LightGBMModel"),
            "mlflow" => Ok(settings("./", "mlserver_mlflow.MLflowRuntime")),
            "python" => python(folder),
            "sklearn" => artefact(folder, &["joblib", "pkl", "pickle"], "mlserver_sklearn.SKLearnModel"),
            "xgboost" => artefact(folder, &["json", "bst"], "mlserver_xgboost.XGBoostModel"),
            _ => continue,
        };
        return found;
    }
    Err(format!("Can't create model-settings from requirements [{}]", requirements.join(" ")))
}

fn settings(uri: &str, implementation: &str) -> Value {
    json!({"name": "", "implementation": implementation, "parameters": {"uri": uri}})
}

fn files_with(folder: &Path, extension: &str) -> Vec<String> {
    let suffix = format!(".{extension}");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(&suffix))
        .collect();
    names.sort();
    names
}

/// The first file with one of the extensions. The text says "sklearn" for every runtime, as Seldon's does.
fn artefact(folder: &Path, extensions: &[&str], implementation: &str) -> Result<Value, String> {
    let file = extensions.iter().find_map(|extension| files_with(folder, extension).into_iter().next());
    match file {
        Some(file) => Ok(settings(&format!("./{file}"), implementation)),
        None => Err(format!("Failed to find sklearn artifact in {}", folder.display())),
    }
}

fn explainer(folder: &Path) -> Result<Value, String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?.flatten();
    let mut saved: Vec<_> =
        entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name()).collect();
    saved.sort();
    let Some(first) = saved.first() else {
        return Err(format!("Failed to find alibi-explain saved folder in {}", folder.display()));
    };
    let uri = format!("./{}", first.to_string_lossy());
    let mut settings = settings(&uri, "mlserver_alibi_explain.AlibiExplainRuntime");
    settings["parallel_workers"] = json!(0);
    Ok(settings)
}

/// The first class that extends `MLModel`.
fn python(folder: &Path) -> Result<Value, String> {
    let class = Regex::new(r"class (.*)\(MLModel\):").map_err(|error| error.to_string())?;
    for file in files_with(folder, "py") {
        let text = fs::read_to_string(folder.join(&file)).map_err(|error| error.to_string())?;
        if let Some(found) = class.captures(&text) {
            let module = file.trim_end_matches(".py");
            return Ok(settings(&format!("./{file}"), &format!("{module}.{}", &found[1])));
        }
    }
    Err(format!(
        "Failed to find MLServer custom python class that extends MLModel file in {}",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use seldon_proto::scheduler::ParameterSpec;

    fn spec(requirements: &[&str]) -> ModelSpec {
        let requirements = requirements.iter().map(|text| (*text).to_owned()).collect();
        ModelSpec { requirements, ..Default::default() }
    }

    fn written(folder: &Path) -> Value {
        serde_json::from_slice(&fs::read(folder.join(FILE)).unwrap()).unwrap()
    }

    #[test]
    fn sklearn_is_written_from_its_requirement() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.joblib"), "x").unwrap();
        complete(folder.path(), "iris_2", 1, &spec(&["sklearn"])).unwrap();
        assert_eq!(
            written(folder.path()),
            json!({"name": "iris_2", "implementation": "mlserver_sklearn.SKLearnModel",
                "parameters": {"uri": "./model.joblib", "version": "1"}})
        );
    }

    #[test]
    fn settings_of_the_artefact_are_kept_and_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let own =
            json!({"name": "mine", "implementation": "x.Y", "parameters": {"uri": "./z", "version": "v9"}});
        fs::write(folder.path().join(FILE), own.to_string()).unwrap();
        let mut spec = spec(&[]);
        spec.parameters.push(ParameterSpec { name: "a".into(), value: "b".into() });
        complete(folder.path(), "m_1", 1, &spec).unwrap();
        assert_eq!(
            written(folder.path()),
            json!({"name": "m_1", "implementation": "x.Y",
                "parameters": {"uri": "./z", "version": "1", "extra": {"a": "b"}}})
        );
    }

    #[rstest]
    #[case::none(&[], "Can't create model-settings from requirements []")]
    #[case::unknown(&["torch", "numpy"], "Can't create model-settings from requirements [torch numpy]")]
    #[case::no_file(&["sklearn"], "Failed to find sklearn artifact in FOLDER")]
    fn what_cannot_be_written_is_said_in_seldons_words(#[case] requirements: &[&str], #[case] text: &str) {
        let folder = tempfile::tempdir().unwrap();
        let error = complete(folder.path(), "m_1", 1, &spec(requirements)).unwrap_err();
        assert_eq!(error, text.replace("FOLDER", &folder.path().display().to_string()));
    }
}

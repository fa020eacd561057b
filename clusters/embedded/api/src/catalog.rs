//! The kinds that are served: the built-in ones and those of CustomResourceDefinitions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use embedded_machinery::Gvk;
use embedded_machinery::builtin;
use embedded_machinery::schema::Structural;
use embedded_machinery::table::PrinterColumn;
use serde_json::Value;

use crate::store::ShelfName;

/// Where the objects of a kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Namespaced,
    Cluster,
}

/// A kind at one of its served versions.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    /// The three above, together.
    pub(crate) gvk: Gvk,
    /// `v1`, `apps/v1`.
    pub(crate) api_version: String,
    pub(crate) list_kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) scope: Scope,
    /// Whether `status` is a subresource of its own.
    pub(crate) has_status: bool,
    pub(crate) scale: Option<ScalePaths>,
    pub(crate) origin: Origin,
    pub(crate) shelf: ShelfName,
    /// The paths below an object of a built-in kind.
    pub(crate) subresources: Vec<builtin::Subresource>,
    /// Whether objects are stored; otherwise the kind is a question that is answered at once.
    pub(crate) stored: bool,
}

/// Where a kind keeps the numbers of its `scale` subresource, as dotted paths such as `.spec.replicas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScalePaths {
    pub(crate) spec: String,
    pub(crate) status: String,
    pub(crate) selector: Option<String>,
}

/// Who defined a kind.
#[derive(Debug)]
pub(crate) enum Origin {
    /// Kubernetes.
    Builtin,
    /// A CustomResourceDefinition.
    Custom(Box<CustomVersion>),
}

/// What a CustomResourceDefinition says of one version.
#[derive(Debug)]
pub(crate) struct CustomVersion {
    /// The version in which objects are stored.
    pub(crate) storage_version: String,
    /// The compiled schema; `None` where the definition has none that can be read.
    pub(crate) schema: Option<Structural>,
    /// The schema as it was written, for the OpenAPI documents.
    pub(crate) open_api: Value,
    /// `additionalPrinterColumns`.
    pub(crate) columns: Vec<PrinterColumn>,
    /// `selectableFields`, as dotted paths without the leading dot.
    pub(crate) selectable: Vec<String>,
}

impl Resource {
    /// Whether this is the built-in kind `kind` of the core group.
    pub(crate) fn is_core(&self, kind: &str) -> bool {
        self.group.is_empty() && self.kind == kind
    }

    /// Whether this is the built-in kind `Job`.
    pub(crate) fn is_job(&self) -> bool {
        self.group == "batch" && self.kind == "Job"
    }

    /// The definition, for custom kinds.
    pub(crate) fn custom(&self) -> Option<&CustomVersion> {
        match &self.origin {
            Origin::Builtin => None,
            Origin::Custom(custom) => Some(custom),
        }
    }

    fn of_builtin(kind: &builtin::Kind) -> Resource {
        let scalable = kind.has(builtin::Subresource::Scale);
        Resource {
            group: kind.group.to_owned(),
            version: kind.version.to_owned(),
            kind: kind.kind.to_owned(),
            gvk: kind.gvk(),
            api_version: api_version(kind.group, kind.version),
            list_kind: format!("{}List", kind.kind),
            plural: kind.plural.to_owned(),
            singular: kind.singular.to_owned(),
            short_names: kind.short_names.iter().map(|&name| name.to_owned()).collect(),
            categories: kind.categories.iter().map(|&name| name.to_owned()).collect(),
            scope: match kind.scope {
                builtin::Scope::Namespaced => Scope::Namespaced,
                builtin::Scope::Cluster => Scope::Cluster,
            },
            has_status: kind.has(builtin::Subresource::Status),
            scale: scalable.then(|| ScalePaths {
                spec: ".spec.replicas".to_owned(),
                status: ".status.replicas".to_owned(),
                selector: None,
            }),
            origin: Origin::Builtin,
            shelf: shelf_name(kind.group, kind.plural),
            subresources: kind.subresources.to_vec(),
            stored: kind.verbs == builtin::Verbs::Stored,
        }
    }
}

/// `v1` for the core group, else `group/version`.
pub(crate) fn api_version(group: &str, version: &str) -> String {
    match group {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    }
}

/// The shelf of a kind. The two groups of Event share one, as they do in the real server.
pub(crate) fn shelf_name(group: &str, plural: &str) -> ShelfName {
    match (group, plural) {
        ("events.k8s.io", "events") => "/events".into(),
        (group, plural) => format!("{group}/{plural}").into(),
    }
}

type Coordinates = (String, String, String);

/// The kinds by group, version and plural.
#[derive(Debug)]
pub(crate) struct Catalog {
    kinds: RwLock<Arc<BTreeMap<Coordinates, Arc<Resource>>>>,
    changes: AtomicUsize,
}

impl Catalog {
    /// The built-in kinds.
    pub(crate) fn builtin() -> Catalog {
        let kinds = builtin::KINDS.iter().map(Resource::of_builtin).map(with_coordinates).collect();
        Catalog { kinds: RwLock::new(Arc::new(kinds)), changes: AtomicUsize::new(0) }
    }

    /// All kinds as of now, in the order of their coordinates.
    pub(crate) fn all(&self) -> Arc<BTreeMap<Coordinates, Arc<Resource>>> {
        self.kinds.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The kind at a path's coordinates.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.all().get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }

    /// Takes the place of all versions of a custom kind: the shelf's earlier ones leave, these come.
    pub(crate) fn set_custom(&self, shelf: &str, versions: Vec<Resource>) {
        let mut guard = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
        let mut kinds = BTreeMap::clone(&guard);
        kinds.retain(|_, resource| &*resource.shelf != shelf || resource.custom().is_none());
        kinds.extend(versions.into_iter().map(with_coordinates));
        *guard = Arc::new(kinds);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// How often kinds have come, changed or gone.
    pub(crate) fn changes(&self) -> usize {
        self.changes.load(Ordering::Relaxed)
    }
}

fn with_coordinates(resource: Resource) -> (Coordinates, Arc<Resource>) {
    ((resource.group.clone(), resource.version.clone(), resource.plural.clone()), Arc::new(resource))
}

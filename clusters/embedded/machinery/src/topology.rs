use crate::Gvk;
use crate::schema::Structural;

/// What is known of how an object's fields join when several managers write it.
#[derive(Clone, Copy, Debug)]
pub enum MergeTypes<'a> {
    /// A built-in kind.
    Builtin(&'a Gvk),
    /// A custom resource with a schema.
    Custom(&'a Structural),
    /// A custom resource without one: lists are owned as a whole.
    Deduced,
}

//! What the macros accept, and an error at the place of what they do not.

use crate::generics::Generics;
use crate::shape::{Fields, Shape};
use proc_macro2::Span;
use syn::visit::{Visit, visit_path};
use syn::{Attribute, Data, DeriveInput, Error, Expr, ExprLit, ExprUnary, Ident, Lifetime, Lit, LitStr, Path, Result};
use syn::{UnOp, Variant, parse_quote};

/// Most variants of an enum: their number is one byte.
const MAX_VARIANTS: usize = 256;

/// A type to derive for.
pub(crate) struct Input {
    pub(crate) krate: Path,
    pub(crate) name: Ident,
    pub(crate) generics: Generics,
    pub(crate) shape: Shape,
}

pub(crate) fn parse(input: DeriveInput) -> Result<Input> {
    refuse_inner_attributes(&input.data)?;
    let shape = shape(&input)?;
    let mut check = Check { name: &input.ident, error: None };
    shape.types().for_each(|field| check.visit_type(field));
    input.generics.type_params().for_each(|param| check.visit_type_param(param));
    input.generics.where_clause.iter().for_each(|clause| check.visit_where_clause(clause));
    check.error.map_or(Ok(()), Err)?;
    Ok(Input { krate: krate(&input.attrs)?, generics: Generics::new(input.generics), name: input.ident, shape })
}

fn shape(input: &DeriveInput) -> Result<Shape> {
    match &input.data {
        Data::Struct(data) => Ok(Shape::Struct(Fields::new(&data.fields))),
        Data::Union(data) => Err(Error::new(data.union_token.span, "a union does not know which of its fields it has")),
        Data::Enum(data) if data.variants.is_empty() => {
            Err(Error::new_spanned(&input.ident, "an enum without variants has no values"))
        }
        Data::Enum(data) => match data.variants.iter().nth(MAX_VARIANTS) {
            Some(surplus) => {
                Err(Error::new_spanned(surplus, format!("an enum in a table has at most {MAX_VARIANTS} variants")))
            }
            None => Ok(Shape::Enum(data.variants.iter().map(enum_variant).collect())),
        },
    }
}

fn enum_variant(variant: &Variant) -> (Ident, Fields) {
    (variant.ident.clone(), Fields::new(&variant.fields))
}

/// Where the crate sapwood is.
fn krate(attributes: &[Attribute]) -> Result<Path> {
    let mut found = None;
    for attribute in ours(attributes) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("unknown: only `crate = \"path\"` may stand here"));
            }
            if found.is_some() {
                return Err(meta.error("the crate is named twice"));
            }
            found = Some(meta.value()?.parse::<LitStr>()?.parse()?);
            Ok(())
        })?;
    }
    Ok(found.unwrap_or_else(|| parse_quote!(::sapwood)))
}

fn ours(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("sapwood"))
}

fn refuse_inner_attributes(data: &Data) -> Result<()> {
    let variants: Vec<&Variant> = match data {
        Data::Enum(data) => data.variants.iter().collect(),
        Data::Struct(_) | Data::Union(_) => Vec::new(),
    };
    let fields = match data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data.variants.iter().flat_map(|variant| &variant.fields).collect(),
        Data::Union(_) => Vec::new(),
    };
    let attributes = variants.into_iter().map(|variant| &variant.attrs);
    let mut inner = attributes.chain(fields.into_iter().map(|field| &field.attrs)).flat_map(|found| ours(found));
    match inner.next() {
        Some(attribute) => Err(Error::new_spanned(attribute, "fields and variants have no attributes of sapwood")),
        None => Ok(()),
    }
}

/// Looks through types for what cannot be read from a file.
struct Check<'a> {
    name: &'a Ident,
    error: Option<Error>,
}

impl Check<'_> {
    fn refuse(&mut self, span: Span, message: &str) {
        self.error.get_or_insert_with(|| Error::new(span, message));
    }
}

impl<'ast> Visit<'ast> for Check<'_> {
    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident == "static" {
            let message = "what is read is not 'static: a parameter of the type can stand for its lifetime";
            self.refuse(lifetime.span(), message);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if let Some(first) = path.segments.first().filter(|first| first.ident == "Self" || is_name(path, self.name)) {
            self.refuse(first.ident.span(), "a type that contains itself has a name without end");
        }
        visit_path(self, path);
    }
}

/// Whether the path is the name, with parameters or without.
fn is_name(path: &Path, name: &Ident) -> bool {
    let only = path.segments.first().filter(|_| path.segments.len() == 1 && path.leading_colon.is_none());
    only.is_some_and(|only| only.ident == *name)
}

/// Refuses variants whose own numbers, by which derived `Ord` goes, are not in the order of declaration.
pub(crate) fn ascends(input: &DeriveInput) -> Result<()> {
    let Data::Enum(data) = &input.data else { return Ok(()) };
    let mut least = None;
    for variant in &data.variants {
        let number = match &variant.discriminant {
            Some((_, given)) => literal(given)?,
            None => least.unwrap_or_default(),
        };
        if least.is_some_and(|least| number < least) {
            let message = "the order of keys is that of declaration, and this number is not above those before it";
            return Err(Error::new_spanned(variant, message));
        }
        least = Some(number.saturating_add(1));
    }
    Ok(())
}

/// The number that an expression is.
fn literal(number: &Expr) -> Result<i128> {
    match number {
        Expr::Lit(ExprLit { lit: Lit::Int(digits), .. }) => digits.base10_parse(),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => literal(expr).map(|number| -number),
        _ => Err(Error::new_spanned(number, "only of a literal can be seen whether it is in the order of declaration")),
    }
}

//! The fields of a type, and the code that takes it apart and puts it together.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Ident, Index, Member, Path, Type};

pub(crate) enum Shape {
    Struct(Fields),
    Enum(Vec<(Ident, Fields)>),
}

impl Shape {
    /// The types of all fields.
    pub(crate) fn types(&self) -> impl Iterator<Item = &Type> {
        let all: Vec<&Fields> = match self {
            Self::Struct(fields) => vec![fields],
            Self::Enum(variants) => variants.iter().map(|(_, fields)| fields).collect(),
        };
        all.into_iter().flat_map(|fields| &fields.types)
    }
}

/// The fields of a struct or of a variant.
pub(crate) struct Fields {
    members: Vec<Member>,
    pub(crate) types: Vec<Type>,
    /// What stands before the first and behind the last field.
    brackets: [&'static str; 2],
}

impl Fields {
    pub(crate) fn new(fields: &syn::Fields) -> Self {
        let members = fields.iter().enumerate().map(|(at, field)| match &field.ident {
            Some(name) => Member::Named(name.clone()),
            None => Member::Unnamed(Index::from(at)),
        });
        let brackets = match fields {
            syn::Fields::Named(_) => ["{", "}"],
            syn::Fields::Unnamed(_) => ["(", ")"],
            syn::Fields::Unit => ["", ""],
        };
        Self { members: members.collect(), types: fields.iter().map(|field| field.ty.clone()).collect(), brackets }
    }

    /// Variables for the fields, no two sets of which collide.
    pub(crate) fn variables(&self, set: &str) -> Vec<Ident> {
        (0..self.types.len()).map(|at| Ident::new(&format!("__{set}{at}"), Span::mixed_site())).collect()
    }

    /// A pattern that binds the fields to variables, or an expression that makes a value of them.
    pub(crate) fn with(&self, path: &TokenStream, values: &[impl ToTokens]) -> TokenStream {
        let members = &self.members;
        quote!(#path { #(#members: #values),* })
    }

    /// The fields' widths, as an array.
    pub(crate) fn widths(&self, krate: &Path) -> TokenStream {
        let types = &self.types;
        quote!([#(<#types as #krate::Value>::fixed_width()),*])
    }

    /// The fields' encodings, as an array; the variables are references to them.
    pub(crate) fn encodings(&self, krate: &Path, variables: &[Ident]) -> TokenStream {
        let types = &self.types;
        quote!([#(::core::convert::AsRef::<[::core::primitive::u8]>::as_ref(
            &<#types as #krate::Value>::as_bytes(#variables)
        )),*])
    }

    /// Writes the declaration of the fields to a name.
    pub(crate) fn declare(&self, name: &mut Name) {
        let [open, close] = self.brackets;
        name.text(open);
        for (at, (member, ty)) in self.members.iter().zip(&self.types).enumerate() {
            name.text(if at == 0 { "" } else { "," });
            if let Member::Named(field) = member {
                name.text(&format!("{}:", field.unraw()));
            }
            name.ty(ty);
        }
        name.text(close);
    }
}

/// The name of a type that is being written: texts, each with the type whose name is behind it, and a last text.
pub(crate) struct Name {
    parts: Vec<(String, Type)>,
    end: String,
}

impl Name {
    /// The name of the whole type.
    pub(crate) fn of(ident: &Ident, shape: &Shape) -> Self {
        let mut name = Self { parts: Vec::new(), end: String::new() };
        let ident = ident.unraw();
        match shape {
            Shape::Struct(fields) => {
                name.text(&format!("struct {ident}"));
                fields.declare(&mut name);
            }
            Shape::Enum(variants) => {
                name.text(&format!("enum {ident}"));
                for (at, (variant, fields)) in variants.iter().enumerate() {
                    name.text(if at == 0 { "{" } else { "," });
                    name.text(&variant.unraw().to_string());
                    fields.declare(&mut name);
                }
                name.text("}");
            }
        }
        name
    }

    fn text(&mut self, text: &str) {
        self.end.push_str(text);
    }

    fn ty(&mut self, ty: &Type) {
        self.parts.push((std::mem::take(&mut self.end), ty.clone()));
    }

    /// The expression that makes the name.
    pub(crate) fn expression(&self, krate: &Path) -> TokenStream {
        let parts = self.parts.iter().map(|(text, ty)| quote!((#text, <#ty as #krate::Value>::type_name())));
        let end = &self.end;
        quote!(#krate::__private::type_name([#(#parts),*], #end))
    }
}

//! The parameters of a type, and those of what reads of it give.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use std::collections::HashSet;
use syn::punctuated::Punctuated;
use syn::visit::{Visit, visit_ident};
use syn::visit_mut::{VisitMut, visit_type_mut};
use syn::{GenericParam, Ident, Lifetime, Path, Token, Type, TypeParamBound, WherePredicate, parse_quote};

pub(crate) struct Generics {
    declared: syn::Generics,
}

/// What stands around an implementation: `impl #begin Trait for Name #arguments #conditions`.
pub(crate) struct Header {
    pub(crate) begin: TokenStream,
    pub(crate) arguments: TokenStream,
    pub(crate) conditions: TokenStream,
}

impl Generics {
    pub(crate) fn new(declared: syn::Generics) -> Self {
        Self { declared }
    }

    /// For an implementation that needs `required` of all parameters that are types.
    pub(crate) fn header(&self, krate: &Path, required: &Path) -> Header {
        let mut generics = self.declared.clone();
        let read = self.read_predicates(krate);
        let conditions = &mut generics.make_where_clause().predicates;
        conditions.extend(self.types().map(|name| -> WherePredicate { parse_quote!(#name: #required) }));
        conditions.extend(read);
        let (begin, arguments, conditions) = generics.split_for_impl();
        Header {
            begin: begin.into_token_stream(),
            arguments: arguments.into_token_stream(),
            conditions: conditions.into_token_stream(),
        }
    }

    /// The arguments of the type that reads give: all lifetimes are `lifetime`, and all types are what their reads give.
    pub(crate) fn read_arguments(&self, krate: &Path, lifetime: &Lifetime) -> TokenStream {
        let arguments = self.declared.params.iter().map(|param| match param {
            GenericParam::Lifetime(_) => lifetime.to_token_stream(),
            GenericParam::Type(param) => {
                let name = &param.ident;
                quote!(<#name as #krate::Value>::SelfType<#lifetime>)
            }
            GenericParam::Const(param) => param.ident.to_token_stream(),
        });
        quote!(<#(#arguments),*>)
    }

    fn types(&self) -> impl Iterator<Item = &Ident> {
        self.declared.type_params().map(|param| &param.ident)
    }

    /// What the declaration asks of its types, asked of what reads give. A type of which this is asked is one that
    /// lives as long as anything, for it is asked of any lifetime.
    fn read_predicates(&self, krate: &Path) -> Vec<WherePredicate> {
        let lifetime: Lifetime = parse_quote!('__read);
        let types: HashSet<&Ident> = self.types().collect();
        let mut asked: Vec<WherePredicate> = Vec::new();
        for predicate in self.predicates().filter(|predicate| mentions(predicate, &types)) {
            let mut read = predicate.clone();
            Reading { krate, types: &types, lifetime: &lifetime }.visit_where_predicate_mut(&mut read);
            asked.push(quantified(read, &lifetime));
        }
        if !asked.is_empty() {
            asked.extend(self.types().map(|name| -> WherePredicate { parse_quote!(#name: 'static) }));
        }
        asked
    }

    /// All bounds on types of the declaration.
    fn predicates(&self) -> impl Iterator<Item = WherePredicate> {
        let inline = self.declared.type_params().filter_map(|param| {
            let (name, bounds) = (&param.ident, traits(&param.bounds));
            (!bounds.is_empty()).then(|| -> WherePredicate { parse_quote!(#name: #bounds) })
        });
        let clause = self.declared.where_clause.iter().flat_map(|clause| &clause.predicates);
        inline.chain(clause.filter_map(|predicate| match predicate {
            WherePredicate::Type(found) => {
                let mut found = found.clone();
                found.bounds = traits(&found.bounds);
                (!found.bounds.is_empty()).then_some(WherePredicate::Type(found))
            }
            _ => None,
        }))
    }
}

/// The bounds that are traits: what reads give lives as long as it must.
fn traits(bounds: &Punctuated<TypeParamBound, Token![+]>) -> Punctuated<TypeParamBound, Token![+]> {
    bounds.iter().filter(|bound| matches!(bound, TypeParamBound::Trait(_))).cloned().collect()
}

/// The predicate for all lifetimes.
fn quantified(predicate: WherePredicate, lifetime: &Lifetime) -> WherePredicate {
    let WherePredicate::Type(mut found) = predicate else { return predicate };
    let lifetimes = found.lifetimes.get_or_insert_with(|| parse_quote!(for<>));
    lifetimes.lifetimes.push(parse_quote!(#lifetime));
    WherePredicate::Type(found)
}

fn mentions(predicate: &WherePredicate, types: &HashSet<&Ident>) -> bool {
    struct Search<'a>(&'a HashSet<&'a Ident>, bool);
    impl<'ast> Visit<'ast> for Search<'_> {
        fn visit_ident(&mut self, ident: &'ast Ident) {
            self.1 |= self.0.contains(ident);
            visit_ident(self, ident);
        }
    }
    let mut search = Search(types, false);
    search.visit_where_predicate(predicate);
    search.1
}

/// Replaces parameters by what reads give in their place.
struct Reading<'a> {
    krate: &'a Path,
    types: &'a HashSet<&'a Ident>,
    lifetime: &'a Lifetime,
}

impl VisitMut for Reading<'_> {
    fn visit_type_mut(&mut self, found: &mut Type) {
        let (krate, lifetime) = (self.krate, self.lifetime);
        visit_type_mut(self, found);
        let Type::Path(path) = &*found else { return };
        if let Some(name) = path.path.get_ident().filter(|name| path.qself.is_none() && self.types.contains(name)) {
            *found = parse_quote!(<#name as #krate::Value>::SelfType<#lifetime>);
        }
    }
}

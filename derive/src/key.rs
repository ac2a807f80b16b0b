//! `Key`.

use crate::input::Input;
use crate::shape::{Fields, Shape};
use crate::value::choose;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Ident, Path, parse_quote};

pub(crate) fn implement(input: &Input) -> TokenStream {
    let Input { krate, name, generics, shape } = input;
    let header = generics.header(krate, &parse_quote!(#krate::Key));
    let (begin, arguments, conditions) = (&header.begin, &header.arguments, &header.conditions);
    let Code { compare, more, order, exact_bits, head } = match shape {
        Shape::Struct(fields) => of_struct(krate, fields),
        Shape::Enum(variants) => of_enum(krate, variants),
    };
    quote! {
        #[automatically_derived]
        impl #begin #krate::Key for #name #arguments #conditions {
            fn compare(
                data1: &[::core::primitive::u8],
                data2: &[::core::primitive::u8],
            ) -> ::core::cmp::Ordering {
                fn derived<T: #krate::__private::Derived>() {}
                derived::<Self>();
                #compare
            }

            #more

            const ORDER: #krate::__private::KeyOrder = #order;

            const EXACT_HEAD_BITS: ::core::option::Option<::core::primitive::u32> = #exact_bits;

            fn head(data: &[::core::primitive::u8]) -> ::core::primitive::u64 {
                if ::core::matches!(<Self as #krate::Key>::ORDER, #krate::__private::KeyOrder::Opaque) {
                    return 0;
                }
                #head
            }
        }
    }
}

/// What differs between structs and enums.
struct Code {
    compare: TokenStream,
    more: TokenStream,
    order: TokenStream,
    exact_bits: TokenStream,
    head: TokenStream,
}

fn of_struct(krate: &Path, fields: &Fields) -> Code {
    let types = &fields.types;
    let push = push(krate, fields);
    Code {
        compare: compare(krate, fields),
        more: shorten(krate, fields),
        order: match types.as_slice() {
            [only] => quote!(<#only as #krate::Key>::ORDER),
            _ => order(krate, types),
        },
        exact_bits: exact_bits(krate, fields),
        head: quote! {
            let mut head: #krate::__private::HeadBuilder = ::core::default::Default::default();
            #push
            head.finish()
        },
    }
}

fn of_enum(krate: &Path, variants: &[(Ident, Fields)]) -> Code {
    let count = variants.len();
    let compare = choose(variants, |_, fields| compare(krate, fields));
    let push = choose(variants, |_, fields| push(krate, fields));
    let bits = variants.iter().map(|(_, fields)| exact_bits(krate, fields));
    Code {
        compare: quote! {
            let (number, data1) = #krate::__private::split_variant(#count, data1);
            let (other, data2) = #krate::__private::split_variant(#count, data2);
            if number != other {
                return ::core::cmp::Ord::cmp(&number, &other);
            }
            #compare
        },
        more: TokenStream::new(),
        order: order(krate, variants.iter().flat_map(|(_, fields)| &fields.types)),
        exact_bits: quote!(#krate::__private::exact_enum_bits(&[#(#bits),*])),
        head: quote! {
            let (number, data) = #krate::__private::split_variant(#count, data);
            let mut head = #krate::__private::variant_head(#count, number);
            #push
            head.finish()
        },
    }
}

/// The order of the fields in `data1` and `data2`.
fn compare(krate: &Path, fields: &Fields) -> TokenStream {
    let (types, widths) = (&fields.types, fields.widths(krate));
    let (ones, others) = (fields.variables("one"), fields.variables("other"));
    quote! {
        let [#(#ones),*] = #krate::__private::split(#widths, data1);
        let [#(#others),*] = #krate::__private::split(#widths, data2);
        ::core::cmp::Ordering::Equal #(.then_with(|| <#types as #krate::Key>::compare(#ones, #others)))*
    }
}

/// Puts the fields in `data` into `head`.
fn push(krate: &Path, fields: &Fields) -> TokenStream {
    let (variables, types, widths) = (fields.variables("field"), &fields.types, fields.widths(krate));
    quote! {
        let [#(#variables),*] = #krate::__private::split(#widths, data);
        #(head.push::<#types>(#variables);)*
    }
}

fn order<'a>(krate: &Path, types: impl IntoIterator<Item = &'a syn::Type>) -> TokenStream {
    let types = types.into_iter();
    quote!(#krate::__private::order_of(&[#(<#types as #krate::Key>::ORDER),*]))
}

fn exact_bits(krate: &Path, fields: &Fields) -> TokenStream {
    let types = &fields.types;
    quote!(#krate::__private::exact_bits(&[#(<#types as #krate::Key>::EXACT_HEAD_BITS),*]))
}

/// What the tree may put in place of a long key: as tuples do it, and what a single field says, for its bytes are the
/// struct's.
fn shorten(krate: &Path, fields: &Fields) -> TokenStream {
    let types = &fields.types;
    let separator = quote! {
        fn separator<'__key>(
            left: &'__key [::core::primitive::u8],
            right: &'__key [::core::primitive::u8],
        ) -> #krate::__private::Cow<'__key, [::core::primitive::u8]> {
            #krate::__private::separator::<Self, _>(
                &[#(#krate::__private::Element::of::<#types>()),*],
                left,
                right,
            )
        }
    };
    let least = types.iter().take(if types.len() == 1 { 1 } else { 0 });
    quote! {
        #separator
        #(
            fn min_encoded_key(
            ) -> ::core::option::Option<#krate::__private::Cow<'static, [::core::primitive::u8]>> {
                <#least as #krate::Key>::min_encoded_key()
            }
        )*
    }
}

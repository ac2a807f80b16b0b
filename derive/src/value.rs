//! `Value`.

use crate::input::Input;
use crate::shape::{Fields, Name, Shape};
use proc_macro2::{Literal, TokenStream};
use quote::quote;
use syn::{Ident, Path, parse_quote};

pub(crate) fn implement(input: &Input) -> TokenStream {
    let Input { krate, name, generics, shape } = input;
    let header = generics.header(krate, &parse_quote!(#krate::Value));
    let (begin, arguments, conditions) = (&header.begin, &header.arguments, &header.conditions);
    let read_arguments = generics.read_arguments(krate, &parse_quote!('__read));
    let type_name = Name::of(name, shape).expression(krate);
    let code = match shape {
        Shape::Struct(fields) => of_struct(krate, name, fields),
        Shape::Enum(variants) => of_enum(krate, name, variants),
    };
    let Code { niche, fixed_width, from_bytes, as_bytes, validate } = code;
    quote! {
        #[automatically_derived]
        impl #begin #krate::Value for #name #arguments #conditions {
            type SelfType<'__read> = #name #read_arguments where Self: '__read;
            type AsBytes<'__read> = #krate::__private::Vec<::core::primitive::u8> where Self: '__read;

            #niche

            fn fixed_width() -> ::core::option::Option<::core::primitive::usize> {
                #fixed_width
            }

            fn from_bytes<'__read>(
                data: &'__read [::core::primitive::u8],
            ) -> <Self as #krate::Value>::SelfType<'__read>
            where
                Self: '__read,
            {
                #from_bytes
            }

            fn as_bytes<'__seen, '__read: '__seen>(
                value: &'__seen <Self as #krate::Value>::SelfType<'__read>,
            ) -> #krate::__private::Vec<::core::primitive::u8>
            where
                Self: '__read,
            {
                #as_bytes
            }

            fn type_name() -> #krate::TypeName {
                #type_name
            }

            fn validate(data: &[::core::primitive::u8]) -> ::core::primitive::bool {
                #validate
            }
        }

        #[automatically_derived]
        impl #begin #krate::__private::Derived for #name #arguments #conditions {}
    }
}

/// What differs between structs and enums.
struct Code {
    niche: TokenStream,
    fixed_width: TokenStream,
    from_bytes: TokenStream,
    as_bytes: TokenStream,
    validate: TokenStream,
}

fn of_struct(krate: &Path, name: &Ident, fields: &Fields) -> Code {
    let path = quote!(#name);
    let variables = fields.variables("field");
    let pattern = fields.with(&path, &variables);
    let (widths, encodings) = (fields.widths(krate), fields.encodings(krate, &variables));
    let niche = match fields.types.as_slice() {
        [only] => quote! {
            const NICHE: ::core::option::Option<&'static [::core::primitive::u8]> = <#only as #krate::Value>::NICHE;
        },
        _ => TokenStream::new(),
    };
    Code {
        niche,
        fixed_width: quote!(#krate::__private::total(#widths)),
        from_bytes: read(krate, &path, fields),
        as_bytes: quote! {
            let #pattern = value;
            #krate::__private::join(#widths, #encodings)
        },
        validate: valid(krate, fields, &quote!(#krate::__private::whole(#widths, data))),
    }
}

fn of_enum(krate: &Path, name: &Ident, variants: &[(Ident, Fields)]) -> Code {
    let count = variants.len();
    let widths = variants.iter().map(|(_, fields)| fields.widths(krate));
    let width = quote!(<Self as #krate::Value>::fixed_width());
    let read = choose(variants, |variant, fields| read(krate, &quote!(#name::#variant), fields));
    let whole = choose(variants, |_, fields| {
        let widths = fields.widths(krate);
        valid(krate, fields, &quote!(#krate::__private::whole_variant(#width, #widths, data)))
    });
    let numbered = (0_u8..).zip(variants);
    let written = numbered.map(|(number, (variant, fields))| write_variant(krate, name, number, variant, fields));
    Code {
        niche: TokenStream::new(),
        fixed_width: quote!(#krate::__private::enum_width([#(#krate::__private::total(#widths)),*])),
        from_bytes: quote! {
            let (number, data) = #krate::__private::split_variant(#count, data);
            #read
        },
        as_bytes: quote!(match value { #(#written),* }),
        validate: quote! {
            if !#krate::__private::is_variant(#count, #width, data) {
                return false;
            }
            let (number, data) = #krate::__private::split_variant(#count, data);
            #whole
        },
    }
}

/// The code for the variant that `number` is the number of.
pub(crate) fn choose(variants: &[(Ident, Fields)], code: impl Fn(&Ident, &Fields) -> TokenStream) -> TokenStream {
    let last = variants.len().saturating_sub(1);
    let arms = variants.iter().enumerate().map(|(at, (variant, fields))| {
        let (number, code) = (Literal::usize_unsuffixed(at), code(variant, fields));
        if at == last { quote!(_ => { #code }) } else { quote!(#number => { #code }) }
    });
    quote!(match number { #(#arms)* })
}

/// The value at `path` whose fields are in `data`.
fn read(krate: &Path, path: &TokenStream, fields: &Fields) -> TokenStream {
    let (variables, types, widths) = (fields.variables("field"), &fields.types, fields.widths(krate));
    let values: Vec<_> =
        variables.iter().zip(types).map(|(field, ty)| quote!(<#ty as #krate::Value>::from_bytes(#field))).collect();
    let value = fields.with(path, &values);
    quote! {
        let [#(#variables),*] = #krate::__private::split(#widths, data);
        #value
    }
}

/// Whether `whole`, the fields' encodings if the bytes are right, has only right ones.
fn valid(krate: &Path, fields: &Fields, whole: &TokenStream) -> TokenStream {
    let (variables, types) = (fields.variables("field"), &fields.types);
    quote! {
        match #whole {
            ::core::option::Option::Some([#(#variables),*]) => {
                true #(&& <#types as #krate::Value>::validate(#variables))*
            }
            ::core::option::Option::None => false,
        }
    }
}

fn write_variant(krate: &Path, name: &Ident, number: u8, variant: &Ident, fields: &Fields) -> TokenStream {
    let variables = fields.variables("field");
    let pattern = fields.with(&quote!(#name::#variant), &variables);
    let (widths, encodings) = (fields.widths(krate), fields.encodings(krate, &variables));
    quote! {
        #pattern => #krate::__private::join_variant(
            #number,
            <Self as #krate::Value>::fixed_width(),
            #widths,
            #encodings,
        )
    }
}

"""A federation's configuration: read, checked, and turned into plug-ins.

table       what every table is made of
tables      the whole configuration, and every key with its type and its default; or in a file of the tables' kind: plugin_tables,
            training_tables, privacy_tables, compression_tables, security_tables, ray_tables
reading     from TOML, YAML (yaml_file) or a mapping to a Config, and back
wording     what is wrong with a value, in a user's words
impossible  combinations that cannot work
listening   where a controller may listen
security    whom a controller serves, and over which transport
unsound     rules, weightings, discounts and protocols that do not go together; unsound_compression: forms, with any of them
unsound_secure  what does not go together with versions that nobody but learners can read
sealing     such versions, for the controller and for its learners
plugging    the plug-ins that a configuration names; planning: what the actors are built from
differential what [dp] asks for; unsound_dp: what it cannot be kept with
schema      the JSON schema of the file
"""

from fedactors.config.listening import leaves_the_machine, problems_at
from fedactors.config.plugging import (
    build_discount,
    build_form,
    build_protocol,
    build_rule,
    build_secure,
    build_selection,
    build_storage,
    build_transport,
    find_entry,
    form_spec,
    known_forms,
    load_entry,
    scope,
    stop_conditions,
)
from fedactors.config.reading import from_mapping, read, to_toml
from fedactors.config.schema import json_schema
from fedactors.config.sealing import seal, sealing_spec, updates_expected
from fedactors.config.security import NO_CREDENTIALS, Credentials, build_guard, connect, connect_to, listening_transport
from fedactors.config.tables import CONTROLLER_ADDRESS, Config

__all__ = [
    "CONTROLLER_ADDRESS",
    "NO_CREDENTIALS",
    "Config",
    "Credentials",
    "build_discount",
    "build_form",
    "build_guard",
    "build_protocol",
    "build_rule",
    "build_secure",
    "build_selection",
    "build_storage",
    "build_transport",
    "connect",
    "connect_to",
    "find_entry",
    "form_spec",
    "from_mapping",
    "json_schema",
    "known_forms",
    "leaves_the_machine",
    "listening_transport",
    "load_entry",
    "problems_at",
    "read",
    "scope",
    "seal",
    "sealing_spec",
    "stop_conditions",
    "to_toml",
    "updates_expected",
]

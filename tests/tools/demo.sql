-- What demo.sh shows at its end. Fails when a change of the portal is not in Postgres.
\set QUIET on
\pset pager off
\pset footer off
\pset null '-'
select set_config('search_path', :'schema', false) \g /dev/null

create temporary view counted as
select t.month, t.label, min(t.display_order) as place, count(*) as n
from (
    select to_char(t.created_at, 'YYYY-MM') as month, s.label, s.display_order
    from tickets t
    join ticket_pipeline_stages s on s.pipeline_id = t.hs_pipeline and s.id = t.hs_pipeline_stage
    where not t.archived
) t
group by 1, 2;

with change as (select :'change'::jsonb as c),
missing as (
    select u ->> 'id' as id from change, jsonb_array_elements(c -> 'updated') u left join tickets t on t.id = u ->> 'id'
    where to_jsonb(t) ->> (u ->> 'property') is distinct from u ->> 'value'
    union all
    select a from change, jsonb_array_elements_text(c -> 'archived') a left join tickets t on t.id = a
    where t.archived is not true
    union all
    select n from change, jsonb_array_elements_text(c -> 'created') n left join tickets t on t.id = n where t.id is null
)
select count(*) > 0 as is_lost, count(*) || ' of the changes are not in Postgres, such as that of ticket ' || min(id) as lost,
    (select jsonb_array_length(c -> 'updated') + jsonb_array_length(c -> 'archived') + jsonb_array_length(c -> 'created')
     from change) as changes
from missing \gset
\if :is_lost
    do $$ begin raise exception 'changes are missing'; end $$;
\endif
\echo
\echo All :changes changes are in Postgres.

\echo
\echo Rows in schema :schema
select s.key as "table", to_char(coalesce(f.value::bigint, 0), 'FM999,999') as "after the first load",
    to_char(s.value::bigint, 'FM999,999') as "after the second", to_char(w.value::bigint, 'FM999,999') as "written by the second"
from json_each_text(:'second') s
left join json_each_text(:'first') f using (key)
left join json_each_text(:'written') w using (key)
order by 1;

\echo The tickets changed last
select t.id, case when length(t.subject) > 40 then left(t.subject, 39) || '…' else t.subject end as subject,
    t.hs_ticket_priority as priority, s.label as stage,
    left(coalesce(t.primary_contact ->> 'name', t.primary_contact ->> 'email', ''), 24) as "primary contact",
    left(coalesce(t.primary_company ->> 'name', ''), 24) as "primary company"
from tickets t
left join ticket_pipeline_stages s on s.pipeline_id = t.hs_pipeline and s.id = t.hs_pipeline_stage
where not t.archived
order by t.updated_at desc, t.id
limit 6;

\echo What it cost
-- The sandbox counts requests by pool and by status, too.
with counts as (
    select key as endpoint, at, value::bigint as n
    from (values (0, :'before'::json), (1, :'between'::json), (2, :'after'::json)) snapshots (at, counts),
        json_each_text(counts)
    where key not like 'pool %' and key not like 'status %'
),
calls as (
    select later.endpoint, later.at, later.n - coalesce(earlier.n, 0) as n
    from counts later left join counts earlier on earlier.endpoint = later.endpoint and earlier.at = later.at - 1
    where later.at > 0 and later.n > coalesce(earlier.n, 0)
),
lines as (
    select 0 as place, endpoint, sum(n) filter (where at = 1)::text as first, sum(n) filter (where at = 2)::text as second
    from calls group by endpoint
    union all
    select 1, 'all', sum(n) filter (where at = 1)::text, sum(n) filter (where at = 2)::text from calls
    union all
    select 2, 'seconds', round(:first_seconds, 1)::text, round(:second_seconds, 1)::text
)
select endpoint as "API calls", lpad(coalesce(first, '-'), 10) as "first load", lpad(coalesce(second, '-'), 11) as "second load"
from lines order by place, endpoint;

\echo Tickets by the month in which they were created, and their stage now
\pset tuples_only on
\pset format unaligned
\pset fieldsep '  '
with stages as (
    select label, row_number() over (order by min(place), label) as place from counted group by label
),
-- As many shades as there are; further stages begin again.
shaded as (select label, place, substr('█▓▒░#=+-:.', 1 + (place - 1)::int % 10, 1) as shade from stages),
months as (select month, sum(n) as n from counted group by month order by month desc limit 12),
parts as (
    select c.month, s.place, s.shade, c.n, sum(c.n) over (partition by c.month order by s.place) as reached,
        (select max(n) from months) as most
    from counted c join shaded s using (label) join months using (month)
),
-- Rounded at the edges of the parts, so that their lengths add up.
bars as (
    select month, sum(n) as n, string_agg(
        repeat(shade, (round(reached * 60 / most) - round((reached - n) * 60 / most))::int), '' order by place) as bar
    from parts group by month
)
select '  ' || month, rpad(bar, 60), lpad(n::text, 5) from (select * from bars order by month) b
union all
select '  ' || string_agg(shade || ' ' || label, '   ' order by place), '', '' from shaded;

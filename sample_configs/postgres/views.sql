-- Views over the tables that target-postgres loads, for one tenant's schema:
--
--     psql -v ON_ERROR_STOP=1 -c 'set search_path to hubspot_tickets_12345678' -f views.sql
--
-- They can be made again at any time, and are made once more when a column that they use is new.

-- Tickets that are there. Archived and merged ones are marked by the tap; those that were deleted for good are found by a
-- sweep, after which the target sets _sdc_deleted_at and leaves all else as it was.
create or replace view live_tickets as
select *
from tickets
where not coalesce(archived, false)
    and _sdc_deleted_at is null;

-- Tickets with the names of their stage, pipeline and owner.
create or replace view tickets_named as
select
    ticket.id,
    ticket.subject,
    ticket.hs_ticket_priority as priority,
    pipeline.label as pipeline,
    stage.label as stage,
    coalesce(stage.is_closed = 'true', stage.ticket_state = 'CLOSED', false) as is_closed,
    nullif(trim(concat(owner.first_name, ' ', owner.last_name)), '') as owner,
    owner.email as owner_email,
    ticket.primary_contact ->> 'name' as contact,
    ticket.primary_contact ->> 'email' as contact_email,
    ticket.primary_company ->> 'name' as company,
    ticket.primary_company ->> 'id' as company_id,
    ticket.created_at,
    ticket.updated_at,
    ticket.closed_date as closed_at
from live_tickets as ticket
left join ticket_pipelines as pipeline
    on pipeline.id = ticket.hs_pipeline
left join ticket_pipeline_stages as stage
    on stage.pipeline_id = ticket.hs_pipeline
    and stage.id = ticket.hs_pipeline_stage
left join owners as owner
    on owner.id = ticket.hubspot_owner_id;

-- Open tickets, the oldest first, with their age in days and a band of ages to group by.
create or replace view open_tickets_by_age as
select
    named.*,
    age.days as age_days,
    case
        when age.days < 1 then 'under a day'
        when age.days < 7 then 'under a week'
        when age.days < 30 then 'under a month'
        else 'a month or more'
    end as age_band
from tickets_named as named
cross join lateral (
    select extract(epoch from (now() at time zone 'UTC') - named.created_at) / 86400 as days
) as age
where not named.is_closed
order by age.days desc;

-- How long closed tickets were open, in hours.
create or replace view time_to_close as
select
    named.*,
    extract(epoch from named.closed_at - named.created_at) / 3600 as hours_to_close
from tickets_named as named
where named.closed_at is not null;

-- Tickets of each company, by their associations: a ticket of two companies counts for both.
create or replace view tickets_per_company as
select
    association.to_object_id as company_id,
    max(named.company) filter (where named.company_id = association.to_object_id) as company,
    count(distinct named.id) as tickets,
    count(distinct named.id) filter (where not named.is_closed) as open_tickets,
    max(named.updated_at) as last_updated_at
from ticket_associations as association
join tickets_named as named
    on named.id = association.ticket_id
where association.to_object_type = 'companies'
    -- Set by the target when an association is gone.
    and association._sdc_deleted_at is null
group by association.to_object_id
order by tickets desc;

-- Values that did not fit the type of their column, as HubSpot has them. Most rows have none: null, or JSON null, which
-- target-postgres writes in its place.
create or replace view unparsed_values as
select
    ticket.id,
    value.key as property,
    value.value as text
from live_tickets as ticket
cross join lateral (select ticket._unparsed::jsonb as texts) as unparsed
cross join lateral jsonb_each_text(
    case when jsonb_typeof(unparsed.texts) = 'object' then unparsed.texts else '{}' end
) as value;

-- Tickets by stage and by the month in which they were created.
create or replace view tickets_by_stage_and_month as
select
    date_trunc('month', created_at)::date as month,
    pipeline,
    stage,
    count(*) as tickets
from tickets_named
group by 1, 2, 3
order by 1, 2, 3;

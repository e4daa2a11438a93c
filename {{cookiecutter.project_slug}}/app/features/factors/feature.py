"""Second factors, as a feature."""

from pathlib import Path

from app.core.database.personal_data import PersonalData
from app.feature import Feature, ResealJob, RetentionJob
from app.features.factors.events import FactorEvent, FactorMail
from app.features.factors.routes import router
from app.features.factors.service import FACTOR_KEY, Enrolment, Factor, FactorService

FACTORS = Feature(
    name="factors",
    uses=("accounts", "sessions"),
    provide=FactorService,
    api=(router,),
    tables=(Factor, Enrolment),
    mails={Path(__file__).with_name("templates"): FactorMail},
    events=(FactorEvent,),
    keys=(FACTOR_KEY,),
    personal_data=(
        PersonalData(name="factors", table=Factor, show=lambda services, row: services[FactorService].copied(row)),
        PersonalData(name="enrolments", table=Enrolment, owner="session_id"),
    ),
    purge=(RetentionJob("enrolments", Enrolment, lambda _, before: Enrolment.expires_at < before),),
    reseal=(ResealJob("factors", lambda services: services[FactorService]),),
)
